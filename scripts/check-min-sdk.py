#!/usr/bin/env python3
"""Usage: scripts/check-min-sdk.py FRAMEWORK.jar CLASSES

Whether the compiled Kotlin under CLASSES calls something of Android that the oldest supported version lacks. FRAMEWORK.jar holds
that version's framework. Only names are compared: what is in GUARDED stands behind a check of the version, by hand. Classes of
Java are not in that jar and are not looked at.
"""

import pathlib
import struct
import sys
import zipfile

# Class of ours -> beginnings of what it uses on newer versions alone.
GUARDED = {
    "org/pairlight/FrameworkPrompt": ("android/hardware/biometrics/", "android/content/Context.getMainExecutor"),
    "org/pairlight/KeystoreKeys": (
        "android/security/keystore/StrongBoxUnavailableException",
        "android/security/keystore/KeyGenParameterSpec$Builder.setIsStrongBoxBacked",
        "android/security/keystore/KeyGenParameterSpec$Builder.setUnlockedDeviceRequired",
        "android/security/keystore/KeyGenParameterSpec$Builder.setUserAuthenticationParameters",
    ),
    "org/pairlight/sample/Screen": ("android/widget/TextView.setAccessibilityHeading",),
}
# Bytes of each kind of constant after its tag.
SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}


class ClassFile:
    """What a class file says of itself and of others, after chapter 4 of the JVM specification."""

    def __init__(self, data):
        self.data = data
        self.pool, at = self.constants()
        self.name = self.class_name(self.short(at + 2))
        above = self.short(at + 4)
        self.parents = [self.class_name(above)] if above else []
        count = self.short(at + 6)
        at += 8
        self.parents += [self.class_name(self.short(at + 2 * i)) for i in range(count)]
        at += 2 * count
        self.members = set()
        for _ in ("fields", "methods"):
            count = self.short(at)
            at += 2
            for _ in range(count):
                self.members.add((self.pool[self.short(at + 2)], self.pool[self.short(at + 4)]))
                attributes = self.short(at + 6)
                at += 8
                for _ in range(attributes):
                    at += 6 + struct.unpack_from(">I", self.data, at + 2)[0]

    def short(self, at):
        return struct.unpack_from(">H", self.data, at)[0]

    def constants(self):
        pool, at, index = [None] * self.short(8), 10, 1
        while index < len(pool):
            tag = self.data[at]
            if tag == 1:
                length = self.short(at + 1)
                pool[index] = self.data[at + 3:at + 3 + length].decode(errors="replace")
                at += 3 + length
            else:
                if SIZES[tag] >= 2 and tag != 15:
                    pool[index] = (tag, *(self.short(at + 1 + i) for i in range(0, min(SIZES[tag], 4), 2)))
                at += 1 + SIZES[tag]
            # Long numbers take two places.
            index += 2 if tag in (5, 6) else 1
        return pool, at

    def class_name(self, index):
        return self.pool[self.pool[index][1]]

    def uses(self):
        """Classes, and members of classes: (class, None) or (class, (name, type))."""
        for entry in self.pool:
            if isinstance(entry, tuple) and entry[0] == 7:
                yield self.pool[entry[1]].lstrip("[").removeprefix("L").removesuffix(";"), None
            elif isinstance(entry, tuple) and entry[0] in (9, 10, 11):
                name, kind = self.pool[entry[2]][1:]
                yield self.class_name(entry[1]), (self.pool[name], self.pool[kind])


class Framework:
    def __init__(self, path):
        self.jar = zipfile.ZipFile(path)
        self.names = set(self.jar.namelist())
        self.known = {}

    def find(self, name):
        if name not in self.known:
            file = f"{name}.class"
            self.known[name] = ClassFile(self.jar.read(file)) if file in self.names else None
        return self.known[name]

    def has(self, name, member):
        found = self.find(name)
        if found is None:
            # Of Java's own classes nothing is known here; the root of all has nothing of Android.
            return name.startswith("java") and name != "java/lang/Object"
        return member in found.members or any(self.has(parent, member) for parent in found.parents)


def main():
    framework, classes = Framework(sys.argv[1]), sorted(pathlib.Path(sys.argv[2]).rglob("*.class"))
    lacking, guarded = set(), set()
    for path in classes:
        ours = ClassFile(path.read_bytes())
        for name, member in ours.uses():
            if not name.startswith("android/"):
                continue
            if framework.find(name) is not None and (member is None or framework.has(name, member)):
                continue
            use = name if member is None else f"{name}.{member[0]}"
            behind = next((known for known in GUARDED if ours.name.split("$")[0] == known), None)
            if behind and use.startswith(GUARDED[behind]):
                guarded.add(use)
            else:
                lacking.add(f"{ours.name} uses {use}, which the oldest supported Android lacks: check the version first")
    for line in sorted(lacking):
        print(line)
    print(f"{len(classes)} classes use of Android what its oldest supported version has, but for {len(guarded)} guarded names")
    sys.exit(1 if lacking or not classes else 0)


main()
