-- loses: the answers, and the delivery keys by which a repeated click is recognized
alter table pending_interactions
    drop column answer,
    drop column delivery_key;
