"""Sinks: where a pod delivers answers to. `http` and `postgres` are imported by those that use them."""

from .protocol import AnswerHandler, AnswerSink, CallableSink, DeliveryFailed, Marks, outcomes_of, sink_of

__all__ = ["AnswerHandler", "AnswerSink", "CallableSink", "DeliveryFailed", "Marks", "outcomes_of", "sink_of"]
