-- loses: every question, those without an answer too
drop table pending_interactions;
