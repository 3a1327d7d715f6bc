"""As much of the C preprocessor as mingw-w64's ``.def.in`` files and headers need: conditions, macros, includes.

mingw-w64 runs ``cpp -undef -P -DDEF_X64`` over its ``.def.in`` files; doing it here keeps the result free of the
compiler at hand. Expressions may use ``defined``, ``!``, ``&&``, ``||`` and parentheses; macros may have one parameter
and paste with ``##``. Anything else is refused, so that nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packager.errors import BuildError

_DIRECTIVE = re.compile(r"^\s*#\s*(\w+)\s*(.*?)\s*$")
_DEFINE = re.compile(r"^(\w+)(?:\((\w+)\))?(?:\s+(.*))?$")
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\s*(defined|\w+|&&|\|\||[!()])")
_DEEPEST = 20


def preprocess(text: str, defined: frozenset[str], includes: Mapping[str, str], file: str) -> str:
    """``text`` with the macros in ``defined`` set (to nothing), directives obeyed and macros expanded.

    ``includes`` are the files that may be included, by name. Raises BuildError with file and line.
    """
    return _Preprocessor(dict.fromkeys(defined, (None, "")), includes).run(text, file, 0)


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of C code with their numbers: continued ones joined, comments left out."""
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n") or " ", text, flags=re.DOTALL)
    number, held = 1, ""
    for offset, line in enumerate(text.split("\n"), 1):
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        yield number, held.partition("//")[0]
        number, held = offset + 1, ""


def directive(line: str) -> tuple[str, str] | None:
    """A directive's name and the rest of its line; None where the line is none."""
    match = _DIRECTIVE.match(line)
    return (match[1], match[2]) if match else None


class _Preprocessor:
    """Macros by name: (parameter or None, replacement)."""

    def __init__(self, macros: dict[str, tuple[str | None, str]], includes: Mapping[str, str]) -> None:
        self._macros, self._includes = macros, includes

    def run(self, text: str, file: str, depth: int) -> str:
        if depth > _DEEPEST:
            raise BuildError(f"{file}: expected includes {_DEEPEST} deep at most, found more")
        out: list[str] = []
        taken: list[bool] = []  # whether a branch of each open condition has been taken
        active: list[bool] = []  # whether its present branch is
        for number, line in lines(text):
            where = f"{file}:{number}"
            found = directive(line)
            if found is None:
                if all(active):
                    out.append(self._expand(line, 0))
                continue
            name, rest = found
            match name:
                case "if" | "ifdef" | "ifndef":
                    value = self._condition(name, rest, where) if all(active) else False
                    taken.append(value)
                    active.append(value)
                case "elif" | "else" | "endif" if not active:
                    raise BuildError(f"{where}: expected an #if before #{name}")
                case "elif":
                    value = not taken[-1] and all(active[:-1]) and self._condition("if", rest, where)
                    active[-1] = value
                    taken[-1] |= value
                case "else":
                    active[-1] = not taken[-1]
                    taken[-1] = True
                case "endif":
                    taken.pop()
                    active.pop()
                case "define" if all(active):
                    self._define(rest, where)
                case "undef" if all(active):
                    self._macros.pop(rest, None)
                case "include" if all(active):
                    out.append(self._include(rest, where, depth))
                case "define" | "undef" | "include":
                    pass
                case _:
                    raise BuildError(f"{where}: expected a directive of conditions, macros or includes, found #{name}")
        if active:
            raise BuildError(f"{file}: expected an #endif before the file's end")
        return "\n".join(out)

    def _define(self, rest: str, where: str) -> None:
        match = _DEFINE.match(rest)
        if match is None:
            raise BuildError(f"{where}: expected a macro of one parameter at most, found {rest}")
        self._macros[match[1]] = (match[2], match[3] or "")

    def _include(self, rest: str, where: str, depth: int) -> str:
        name = rest.strip('"<>')
        if name not in self._includes:
            raise BuildError(f"{where}: expected one of {', '.join(sorted(self._includes))}, found {rest}")
        return self.run(self._includes[name], name, depth + 1)

    def _condition(self, kind: str, text: str, where: str) -> bool:
        if kind != "if":
            return (text in self._macros) == (kind == "ifdef")
        tokens = _TOKEN.findall(text)
        if "".join(tokens) != "".join(text.split()):
            raise BuildError(f"{where}: expected defined, !, && and ||, found {text}")
        rest = tokens[::-1]
        try:
            value = self._either(rest)
        except (IndexError, ValueError) as exc:
            raise BuildError(f"{where}: expected defined, !, && and ||, found {text}") from exc
        if rest:
            raise BuildError(f"{where}: expected defined, !, && and ||, found {text}")
        return value

    def _either(self, rest: list[str]) -> bool:
        value = self._both(rest)
        while rest and rest[-1] == "||":
            rest.pop()
            value = self._both(rest) or value
        return value

    def _both(self, rest: list[str]) -> bool:
        value = self._one(rest)
        while rest and rest[-1] == "&&":
            rest.pop()
            value = self._one(rest) and value
        return value

    def _one(self, rest: list[str]) -> bool:
        token = rest.pop()
        if token == "!":
            return not self._one(rest)
        if token == "(":
            value = self._either(rest)
            if rest.pop() != ")":
                raise ValueError
            return value
        if token != "defined":
            raise ValueError
        name = rest.pop()
        if name == "(":
            name = rest.pop()
            if rest.pop() != ")":
                raise ValueError
        return name in self._macros

    def _expand(self, line: str, depth: int) -> str:
        """``line`` with macros replaced, also in what they are replaced by."""
        out, at = "", 0
        while match := _WORD.search(line, at):
            out += line[at : match.start()]
            at = match.end()
            macro = self._macros.get(match[0])
            if macro is None or depth > _DEEPEST:
                out += match[0]
                continue
            parameter, replacement = macro
            if parameter is not None:
                argument, at = _argument(line, at)
                if argument is None:
                    out += match[0]
                    continue
                # An argument beside ## is pasted as it stands, any other is expanded first; here that is the same.
                replacement = re.sub(rf"\b{parameter}\b", lambda _, text=argument: text, replacement)  # type: ignore[misc]
            out += self._expand(re.sub(r"\s*##\s*", "", replacement), depth + 1)
        return out + line[at:]


def _argument(line: str, at: int) -> tuple[str | None, int]:
    """The text in parentheses at ``at`` and where it ends; None where there is none."""
    start = re.compile(r"\s*\(").match(line, at)
    if start is None:
        return None, at
    depth = 1
    for index in range(start.end(), len(line)):
        depth += {"(": 1, ")": -1}.get(line[index], 0)
        if depth == 0:
            return line[start.end() : index].strip(), index + 1
    return None, at
