-- loses: the trail of all questions
drop table pending_trail;
