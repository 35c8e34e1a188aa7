create sequence tally increment 5;
