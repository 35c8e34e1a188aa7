-- loses: all event streams and their events
drop table pending_stream_event;
drop table pending_stream_ring;
drop table pending_stream;
