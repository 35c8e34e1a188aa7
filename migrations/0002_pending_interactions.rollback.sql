drop table pending_interactions;
