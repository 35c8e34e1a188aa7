-- loses: which pods live and what they hold, until they note it again
drop table pending_pods;
