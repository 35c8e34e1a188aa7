/* a /* nested */ one */ create   table t -- the table
(

	a	int -- the column
)
;
-- end
