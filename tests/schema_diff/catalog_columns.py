"""Every column of every catalog of PostgreSQL 14 to 18: compared, or why not.

A new major's columns are in none of the three until somebody has decided; a test fails until then.
"""

from __future__ import annotations

from collections.abc import Mapping

# By catalog. A query of the comparison names each of these.
COMPARED: Mapping[str, str] = {
    "pg_aggregate": (
        "aggfnoid aggkind aggnumdirectargs aggtransfn aggfinalfn aggcombinefn aggserialfn aggdeserialfn "
        "aggmtransfn aggminvtransfn aggmfinalfn aggfinalextra aggmfinalextra aggfinalmodify aggmfinalmodify "
        "aggsortop aggtranstype aggtransspace aggmtranstype aggmtransspace agginitval aggminitval"
    ),
    "pg_am": "oid amname amhandler amtype",
    "pg_amop": "oid amopfamily amopstrategy amopopr amopsortfamily",
    "pg_amproc": "oid amprocfamily amproclefttype amprocrighttype amprocnum amproc",
    "pg_attrdef": "oid adrelid adnum adbin",
    "pg_attribute": (
        "attrelid attname atttypid attstattarget attnum atttypmod attstorage attcompression attnotnull attidentity "
        "attgenerated attisdropped attislocal attinhcount attcollation attacl attoptions attfdwoptions"
    ),
    "pg_cast": "oid castsource casttarget castfunc castcontext castmethod",
    "pg_class": (
        "oid relname relnamespace reloftype relowner relam reltablespace reltoastrelid relpersistence relkind "
        "relrowsecurity relforcerowsecurity relreplident relispartition relacl reloptions relpartbound"
    ),
    "pg_collation": (
        "oid collname collnamespace collowner collprovider collisdeterministic collcollate collctype colliculocale "
        "colllocale collicurules"
    ),
    "pg_constraint": (
        "oid conname connamespace contype condeferrable condeferred convalidated conrelid contypid conindid "
        "conparentid confrelid confupdtype confdeltype confmatchtype conislocal coninhcount connoinherit conkey "
        "confkey confdelsetcols conexclop conbin conenforced conperiod"
    ),
    "pg_conversion": "oid conname connamespace conowner conforencoding contoencoding conproc condefault",
    "pg_default_acl": "oid defaclrole defaclnamespace defaclobjtype defaclacl",
    "pg_depend": "classid objid objsubid refclassid refobjid refobjsubid deptype",
    "pg_description": "objoid classoid objsubid description",
    "pg_enum": "oid enumtypid enumsortorder enumlabel",
    "pg_event_trigger": "oid evtname evtevent evtowner evtfoid evtenabled evttags",
    "pg_extension": "oid extname extnamespace extversion",
    "pg_foreign_data_wrapper": "oid fdwname fdwowner fdwhandler fdwvalidator fdwacl fdwoptions",
    "pg_foreign_server": "oid srvname srvowner srvfdw srvtype srvversion srvacl srvoptions",
    "pg_foreign_table": "ftrelid ftserver ftoptions",
    "pg_index": (
        "indexrelid indrelid indnatts indnkeyatts indisunique indnullsnotdistinct indisclustered indisvalid "
        "indisready indisreplident indkey indcollation indclass indoption indpred"
    ),
    "pg_inherits": "inhrelid inhparent inhseqno inhdetachpending",
    "pg_language": "oid lanname lanowner lanpltrusted lanplcallfoid laninline lanvalidator lanacl",
    "pg_namespace": "oid nspname nspowner nspacl",
    "pg_opclass": "oid opcmethod opcname opcnamespace opcowner opcfamily opcintype opcdefault opckeytype",
    "pg_operator": (
        "oid oprname oprnamespace oprowner oprcanmerge oprcanhash oprleft oprright oprresult oprcom oprnegate "
        "oprcode oprrest oprjoin"
    ),
    "pg_opfamily": "oid opfmethod opfname opfnamespace opfowner",
    "pg_policy": "oid polname polrelid polcmd polpermissive polroles polqual polwithcheck",
    "pg_proc": (
        "oid proname pronamespace proowner prolang procost prorows prosupport prokind prosecdef proleakproof "
        "proisstrict proretset provolatile proparallel pronargs proargtypes protrftypes prosrc probin proconfig "
        "proacl"
    ),
    "pg_publication": (
        "oid pubname pubowner puballtables pubinsert pubupdate pubdelete pubtruncate pubviaroot pubgencols"
    ),
    "pg_publication_namespace": "oid",
    "pg_publication_rel": "oid prpubid prrelid prqual prattrs",
    "pg_range": "rngtypid rngsubtype rngmultitypid rngcollation rngsubopc rngcanonical rngsubdiff",
    "pg_rewrite": "oid rulename ev_class ev_type ev_enabled is_instead",
    "pg_sequence": "seqrelid seqtypid seqstart seqincrement seqmax seqmin seqcache seqcycle",
    "pg_statistic_ext": "oid stxrelid stxname stxnamespace stxowner stxstattarget stxkind",
    "pg_transform": "oid trftype trflang trffromsql trftosql",
    "pg_trigger": (
        "oid tgrelid tgparentid tgname tgfoid tgtype tgenabled tgisinternal tgconstrrelid tgconstraint "
        "tgdeferrable tginitdeferred tgnargs tgattr tgargs tgqual tgoldtable tgnewtable"
    ),
    "pg_ts_config": "oid cfgname cfgnamespace cfgowner cfgparser",
    "pg_ts_config_map": "mapcfg maptokentype mapseqno mapdict",
    "pg_ts_dict": "oid dictname dictnamespace dictowner dicttemplate dictinitoption",
    "pg_ts_parser": "oid prsname prsnamespace prsstart prstoken prsend prsheadline prslextype",
    "pg_ts_template": "oid tmplname tmplnamespace tmplinit tmpllexize",
    "pg_type": (
        "oid typname typnamespace typowner typlen typbyval typtype typcategory typispreferred typisdefined "
        "typdelim typrelid typsubscript typelem typarray typinput typoutput typreceive typsend typmodin typmodout "
        "typanalyze typalign typstorage typnotnull typbasetype typtypmod typcollation typdefaultbin typdefault "
        "typacl"
    ),
}

# From what else it follows, or which function of the server prints it.
DERIVED: Mapping[str, Mapping[str, str]] = {
    "pg_amop": {
        "amoplefttype": "the operator",
        "amoprighttype": "the operator",
        "amoppurpose": "amopsortfamily",
        "amopmethod": "the family",
    },
    "pg_attribute": {
        "attlen": "the type",
        "attbyval": "the type",
        "attalign": "the type",
        "atthasdef": "pg_attrdef",
    },
    "pg_class": {
        "reltype": "relname",
        "relhasindex": "pg_index",
        "relnatts": "pg_attribute",
        "relchecks": "pg_constraint",
        "relhasrules": "pg_rewrite",
        "relhastriggers": "pg_trigger",
        "relhassubclass": "pg_inherits",
    },
    "pg_collation": {
        "collencoding": "the database's encoding",
    },
    "pg_constraint": {
        "conpfeqop": "the columns",
        "conppeqop": "the columns",
        "conffeqop": "the columns",
    },
    "pg_extension": {
        "extrelocatable": "the version",
        "extconfig": "the version",
        "extcondition": "the version",
    },
    "pg_index": {
        "indisprimary": "pg_constraint",
        "indisexclusion": "pg_constraint",
        "indimmediate": "pg_constraint",
        "indexprs": "pg_get_indexdef",
    },
    "pg_language": {
        "lanispl": "it is true of all that a user creates",
    },
    "pg_operator": {
        "oprkind": "oprleft",
    },
    "pg_partitioned_table": {
        "partrelid": "pg_get_partkeydef",
        "partstrat": "pg_get_partkeydef",
        "partnatts": "pg_get_partkeydef",
        "partdefid": "the partition's bound",
        "partattrs": "pg_get_partkeydef",
        "partclass": "pg_get_partkeydef",
        "partcollation": "pg_get_partkeydef",
        "partexprs": "pg_get_partkeydef",
    },
    "pg_proc": {
        "provariadic": "pg_get_function_arguments",
        "pronargdefaults": "pg_get_function_arguments",
        "prorettype": "pg_get_function_result",
        "proallargtypes": "pg_get_function_arguments",
        "proargmodes": "pg_get_function_arguments",
        "proargnames": "pg_get_function_arguments",
        "proargdefaults": "pg_get_function_arguments",
        "prosqlbody": "pg_get_function_sqlbody",
    },
    "pg_publication_namespace": {"pnpubid": "pg_depend", "pnnspid": "pg_depend"},
    "pg_rewrite": {
        "ev_qual": "pg_get_ruledef",
        "ev_action": "pg_get_ruledef",
    },
    "pg_statistic_ext": {
        "stxkeys": "pg_get_statisticsobjdef_columns",
        "stxexprs": "pg_get_statisticsobjdef_columns",
    },
    "pg_trigger": {
        "tgconstrindid": "pg_constraint",
    },
}

# What no user writes in a schema.
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "pg_attribute": {
        "attndims": "the server treats int[] and int[][] alike",
        "attcacheoff": "the server's own, up to 17",
        "atthasmissing": "how rows are stored",
        "attmissingval": "how rows are stored",
    },
    "pg_class": {
        "relfilenode": "how rows are stored",
        "relpages": "statistics of rows",
        "reltuples": "statistics of rows",
        "relallvisible": "statistics of rows",
        "relisshared": "the server's own tables alone",
        "relispopulated": "rows",
        "relrewrite": "the server's own, while a table is rewritten",
        "relfrozenxid": "how rows are stored",
        "relminmxid": "how rows are stored",
        "relallfrozen": "statistics of rows",
    },
    "pg_collation": {
        "collversion": "the version of the machine's locale data",
    },
    "pg_extension": {
        "extowner": "it cannot be changed, and a trusted extension belongs to whoever created it",
    },
    "pg_index": {
        "indcheckxmin": "how rows are stored",
        "indislive": "the server's own, while an index is dropped",
    },
    "pg_type": {
        "typndims": "the server treats int[] and int[][] alike",
    },
}

# Compared, except for objects whose value is not part of what a user created; a dump leaves it out too.
EXCEPT_FOR: Mapping[str, Mapping[str, str]] = {
    "pg_proc": {
        "prosrc": "an extension's functions, like all else in their definition: its script creates them anew",
        "proconfig": "a range type's constructors, like all else in their definition: the type creates them anew",
        "proowner": "an extension's functions and a range type's constructors: whoever ran the statement",
    },
    "pg_type": {
        "typowner": "a multirange type, which follows its range type since 17",
    },
}

# Whole catalogs.
CATALOGS_LEFT_OUT: Mapping[str, str] = {
    "pg_auth_members": "roles belong to the server, not to a database",
    "pg_authid": "roles belong to the server, not to a database",
    "pg_database": "a database's own properties are not part of its schema",
    "pg_db_role_setting": "settings of a database or a role, which are not part of a schema",
    "pg_init_privs": "the grants of an extension's own script, which are in the object's too",
    "pg_largeobject": "rows",
    "pg_largeobject_metadata": "rows",
    "pg_parameter_acl": "grants on the settings of the server",
    "pg_replication_origin": "progress of replication",
    "pg_seclabel": "counted and reported as not compared",
    "pg_shdepend": "which roles and tablespaces are used; read where they are",
    "pg_shdescription": "comments on roles, databases and tablespaces",
    "pg_shseclabel": "labels of roles, databases and tablespaces",
    "pg_statistic": "statistics of rows",
    "pg_statistic_ext_data": "statistics of rows",
    "pg_subscription": "counted and reported as not compared, since it holds passwords",
    "pg_subscription_rel": "progress of replication",
    "pg_tablespace": "tablespaces belong to the server; their names are compared where they are used",
    "pg_user_mapping": "counted and reported as not compared, since it holds passwords",
}
