#!/usr/bin/env python3
"""Usage: scripts/parse-swift.py [--update] [FILE...]

Parses every hand-written Swift file under ios/, the programs of the guide, and each FILE (the generated ones) with the Swift
grammar of tree-sitter, and compares the public declarations with ios/api/pairlight.api (--update writes that file anew).
This finds what is no Swift at all, and a changed surface. It does not find a wrong type, a missing import or a call that
does not exist: only a Swift compiler does (scripts/test-ios.sh runs it where there is one).

Needs the Python packages tree-sitter and tree-sitter-swift.
"""

import pathlib
import re
import sys

import tree_sitter_swift
from tree_sitter import Language, Parser

ROOT = pathlib.Path(__file__).resolve().parent.parent
API = ROOT / "ios" / "api" / "pairlight.api"
# Nodes that have a body which is no part of the surface.
BODIES = {"function_body", "computed_property", "class_body", "enum_class_body", "protocol_body", "willset_didset_block"}
TYPES = {"class_declaration", "protocol_declaration"}


def faults(node):
    if node.is_error or node.is_missing:
        yield node
    if node.has_error:
        for child in node.children:
            yield from faults(child)


def is_public(node):
    modifiers = [child for child in node.children if child.type == "modifiers"]
    return any(b"public" in child.text for child in modifiers)


def signature(node, source):
    bodies = [child for child in node.children if child.type in BODIES]
    end = bodies[0].start_byte if bodies else node.end_byte
    return " ".join(source[node.start_byte:end].decode().split()).rstrip("{ ").strip()


def surface(node, source, depth=0):
    """Public declarations, and the cases of public enumerations."""
    for child in node.children:
        if child.type in TYPES and (is_public(child) or child.text.startswith(b"extension")):
            inner = list(surface(child, source, depth + 1))
            if is_public(child) or inner:
                yield "    " * depth + signature(child, source)
                yield from inner
        elif child.type in {"enum_entry", "protocol_function_declaration", "protocol_property_declaration"}:
            yield "    " * depth + signature(child, source)
        elif child.type.endswith("_declaration") and is_public(child):
            text = signature(child, source)
            # What a stored property begins with is its own business; a computed one has no body here.
            yield "    " * depth + (text.split(" = ")[0] if child.type == "property_declaration" else text)
        elif child.type in BODIES or child.type == "statements":
            yield from surface(child, source, depth)


def main():
    parser = Parser(Language(tree_sitter_swift.language()))
    failed = 0
    lines = []
    files = sorted(path for path in (ROOT / "ios").rglob("*.swift") if not {".build", "Apple"} & set(path.relative_to(ROOT).parts))
    files = [path for path in files if path.parent.name != "PairlightBridge"]
    guide = ROOT / "docs" / "guides" / "embed-ios.md"
    programs = [(path, path.read_bytes()) for path in files]
    programs += [(guide, text.encode()) for text in re.findall(r"```swift\n(.*?)```", guide.read_text(), re.DOTALL)]
    for name in (name for name in sys.argv[1:] if name != "--update"):
        # A closure that gives nothing, in parentheses, is Swift and unknown to the grammar.
        programs.append((ROOT / name, (ROOT / name).read_bytes().replace(b"{ () }", b"{ Void() }")))
    for path, source in programs:
        # The grammar does not know conditional compilation around whole files: the lines go, their numbers stay.
        plain = b"\n".join(b"" if line.lstrip().startswith((b"#if", b"#else", b"#elseif", b"#endif")) else line
                           for line in source.split(b"\n"))
        tree = parser.parse(plain)
        name = (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
        for node in faults(tree.root_node):
            row, column = node.start_point
            print(f"{name}:{row + 1}:{column + 1}: this is no Swift: {node.text[:60].decode(errors='replace')!r}")
            failed += 1
        if "Sources" in path.parts:
            lines += [f"// {name.name}", *surface(tree.root_node, plain), ""]
    api = "\n".join(lines)
    if "--update" in sys.argv:
        API.parent.mkdir(exist_ok=True)
        API.write_text(api)
    if not API.exists() or API.read_text() != api:
        print("the public surface is not the one of ios/api/pairlight.api; scripts/parse-swift.py --update writes it anew")
        failed += 1
    print(f"{len(programs)} Swift sources parsed, {len(files)} of them files of the package; types and calls are not checked by this")
    # As cargo says it: one test for each file, and one for the surface.
    total = len(programs) + 1
    print(f"test result: {'FAILED' if failed else 'ok'}. {total - min(failed, total)} passed; {min(failed, total)} failed; 0 ignored;")
    sys.exit(1 if failed else 0)


main()
