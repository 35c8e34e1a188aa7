"""Which object a statement creates or changes, for the kinds that a statement of their own creates. Pure.

Tables, columns, constraints and indexes are found in parts of statements, by locations.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from .model import Name

# Kind, name, and the attribute that the statement sets: None for the object itself.
Target: TypeAlias = tuple[str, Name, str | None]

_DEFINE_KINDS = {
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_COLLATION": "collation",
    "OBJECT_OPERATOR": "operator",
    "OBJECT_TSCONFIGURATION": "text search configuration",
    "OBJECT_TSDICTIONARY": "text search dictionary",
    "OBJECT_TSPARSER": "text search parser",
    "OBJECT_TSTEMPLATE": "text search template",
    "OBJECT_TYPE": "base type",
}
_WITHOUT_SCHEMA = {
    "CreateAmStmt": ("access method", "amname"),
    "CreateEventTrigStmt": ("event trigger", "trigname"),
    "CreateExtensionStmt": ("extension", "extname"),
    "CreateFdwStmt": ("foreign-data wrapper", "fdwname"),
    "CreateForeignServerStmt": ("foreign server", "servername"),
    "CreatePLangStmt": ("language", "plname"),
    "CreatePublicationStmt": ("publication", "pubname"),
    "CreateSchemaStmt": ("schema", "schemaname"),
}
_IN_SCHEMA = {
    "CreateConversionStmt": ("conversion", "conversion_name"),
    "CreateDomainStmt": ("domain", "domainname"),
    "CreateEnumStmt": ("enum", "typeName"),
    "CreateRangeStmt": ("range type", "typeName"),
    "CreateStatsStmt": ("statistics object", "defnames"),
}
_TYPE_KINDS = ("enum", "domain", "composite type", "range type", "base type")
_COMMENT_KINDS = {
    **_DEFINE_KINDS,
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_COLUMN": "column",
    "OBJECT_CONVERSION": "conversion",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_INDEX": "index",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_POLICY": "policy",
    "OBJECT_RULE": "rule",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_STATISTIC_EXT": "statistics object",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TABLE": "table",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_VIEW": "view",
}
# Their names have three parts; the first, the schema, may be omitted.
_OF_TABLE = ("column", "constraint", "policy", "rule", "trigger")
# The server's deparser uses other names for these types than its parser.
_DEPARSED_TYPES = {
    "bool": "boolean",
    "bpchar": "character",
    "float4": "real",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "int": "integer",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}


def targets(tree: Any, schema: str) -> Iterator[Target]:  # noqa: PLR0912  # one branch per statement
    """Yield the targets of a statement; names without a schema are in `schema`."""
    statement = type(tree).__name__
    if statement in _WITHOUT_SCHEMA:
        kind, part = _WITHOUT_SCHEMA[statement]
        yield kind, (getattr(tree, part) or "",), None
    elif statement in _IN_SCHEMA:
        kind, part = _IN_SCHEMA[statement]
        yield kind, _qualified(getattr(tree, part) or (), schema), None
    match statement:
        case "CompositeTypeStmt":
            yield "composite type", _relation(tree.typevar, schema), None
        case "CreateSeqStmt":
            yield "sequence", _relation(tree.sequence, schema), None
        case "ViewStmt":
            yield "view", _relation(tree.view, schema), None
        case "CreateTableAsStmt":
            kind = "materialized view" if tree.objtype.name == "OBJECT_MATVIEW" else "table"
            yield kind, _relation(tree.into.rel, schema), None
        case "CreateFunctionStmt":
            kind = "procedure" if tree.is_procedure else "function"
            yield from _routine(kind, tree.funcname, tree.parameters or (), schema)
        case "DefineStmt" if tree.kind.name == "OBJECT_AGGREGATE" and not tree.oldstyle and tree.args:
            yield from _routine("aggregate", tree.defnames, tree.args[0] or (), schema)
        case "DefineStmt" if tree.kind.name in _DEFINE_KINDS:
            yield _DEFINE_KINDS[tree.kind.name], _qualified(tree.defnames, schema), None
        case "CreateTrigStmt":
            yield "trigger", (*_relation(tree.relation, schema), tree.trigname), None
        case "RuleStmt":
            yield "rule", (*_relation(tree.relation, schema), tree.rulename), None
        case "CreatePolicyStmt":
            yield "policy", (*_relation(tree.table, schema), tree.policy_name), None
        case "CreateOpClassStmt":
            yield "operator class", _qualified(tree.opclassname, schema), None
        case "CreateOpFamilyStmt":
            yield "operator family", _qualified(tree.opfamilyname, schema), None
        case "CreateCastStmt":
            yield "cast", (signature([_type(tree.sourcetype), _type(tree.targettype)]),), None
        case "CreateTransformStmt":
            yield "transform", _for_language(tree.type_name, tree.lang), None
        case "CommentStmt":
            for kind, name in _named(tree.objtype.name, tree.object, schema):
                yield kind, name, "comment"


def dropped(tree: Any, schema: str) -> Iterator[tuple[str, Name]]:
    """Yield the kind and the name of each object that a DROP names; a routine also without its arguments."""
    for each in tree.objects:
        for kind, name in _named(tree.removeType.name, each, schema):
            is_any = getattr(each, "args_unspecified", False)
            yield kind, name[:-1] if is_any else name


def target_name(kind: str, name: Name) -> Name:
    """Return the name by which `targets` knows an object of the catalogs: argument types without schemas."""
    if not name or not name[-1].startswith("("):
        return name
    if kind == "transform":
        return name
    types = name[-1][1:-1].split(" as " if kind == "cast" else ", ")
    return (*name[:-1], signature([each.rsplit(".", 1)[-1].strip('"') for each in types if each]))


def signature(types: list[str]) -> str:
    """Return argument types as one part of a name."""
    return f"({', '.join(types)})"


def _routine(kind: str, names: Any, parameters: Any, schema: str) -> Iterator[Target]:
    taken = [each for each in parameters if each.mode.name not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")]
    # Also without arguments, in case a type is written differently here than in the catalogs.
    yield kind, (*_qualified(names, schema), signature([_type(each.argType) for each in taken])), None
    yield kind, _qualified(names, schema), None


def _named(about: str, target: Any, schema: str) -> Iterator[tuple[str, Name]]:
    """Yield the kind and the name of an object that a statement of another kind names, such as a comment."""
    if about in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        for kind in _TYPE_KINDS:
            yield kind, _qualified(target.names, schema)
    elif about in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_AGGREGATE"):
        name = _qualified(target.objname, schema)
        yield _COMMENT_KINDS[about], (*name, signature([_type(each) for each in target.objargs or ()]))
    elif about in ("OBJECT_OPCLASS", "OBJECT_OPFAMILY"):
        yield "operator " + about.removeprefix("OBJECT_OP").lower(), _qualified(target[1:], schema)
    elif about == "OBJECT_OPERATOR":
        yield "operator", _qualified(target.objname, schema)
    elif about == "OBJECT_TRANSFORM":
        yield "transform", _for_language(target[0], target[1].sval)
    elif about == "OBJECT_CAST":
        yield "cast", (signature([_type(each) for each in target]),)
    elif about == "OBJECT_DOMCONSTRAINT":
        yield "domain constraint", (*_qualified(target[0].names, schema), target[1].sval)
    elif isinstance(target, tuple) and about in _COMMENT_KINDS:
        kind = _COMMENT_KINDS[about]
        parts = tuple(each.sval for each in target if hasattr(each, "sval"))
        least = 3 if kind in _OF_TABLE else 2
        yield kind, parts if len(parts) >= least else (schema, *parts)
    elif hasattr(target, "sval"):
        kind = about.removeprefix("OBJECT_").lower().replace("_", " ")
        yield {"fdw": "foreign-data wrapper"}.get(kind, kind), (target.sval,)


def _for_language(tree: Any, language: str) -> Name:
    return (f"({_type(tree)} for {language})",)


def _relation(relation: Any, schema: str) -> Name:
    return (relation.schemaname or schema, relation.relname)


def _qualified(names: Any, schema: str) -> Name:
    parts = tuple(each.sval for each in names)
    return parts[-2:] if len(parts) > 1 else (schema, *parts)


def _type(tree: Any) -> str:
    name = tree.names[-1].sval if tree.names else ""
    return _DEPARSED_TYPES.get(name, name) + ("[]" if tree.arrayBounds else "")
