create foreign data wrapper ledger;
create server branch foreign data wrapper ledger options (host 'a, port=1');
