alter table pending_interactions
    drop column answer,
    drop column delivery_key;
