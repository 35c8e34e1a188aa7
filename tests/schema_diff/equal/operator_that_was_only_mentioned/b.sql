create table room (number integer);
create operator public.<+> (leftarg = integer, rightarg = integer, function = int4pl, commutator = operator(public.<++>));
drop operator public.<+> (integer, integer);
