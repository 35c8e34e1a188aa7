"""Cycles of LangGraph: a graph interrupts itself with a question and is resumed with the answer.

Run by `contenders.py` with an interpreter that has LangGraph: it reads where and how many, and for each further line
runs so many cycles and prints how many a second that were.
"""

import sys
from importlib.metadata import version
from itertools import count
from time import perf_counter
from typing import TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg import Connection
from psycopg.rows import dict_row


class State(TypedDict):
    answer: str


def ask(state: State) -> State:
    """Ask, and take the answer that the graph is resumed with."""
    return {"answer": state["answer"] + interrupt("Deploy?")}


def main() -> None:
    dsn, cycles = sys.stdin.readline().strip(), int(sys.stdin.readline())
    with Connection.connect(dsn, autocommit=True, prepare_threshold=0, row_factory=dict_row) as connection:
        saver = PostgresSaver(connection)
        saver.setup()
        builder = StateGraph(State)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", END)
        graph = builder.compile(checkpointer=saver)
        threads = count()
        print(version("langgraph"), flush=True)
        for _ in sys.stdin:
            started = perf_counter()
            for _ in range(cycles):
                thread = {"configurable": {"thread_id": f"cycle-{next(threads)}"}}
                graph.invoke({"answer": ""}, thread)
                if graph.invoke(Command(resume="yes"), thread)["answer"] != "yes":
                    raise RuntimeError("the answer was lost")
            print(cycles / (perf_counter() - started), flush=True)


main()
