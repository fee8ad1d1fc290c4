# SPDX-License-Identifier: GPL-2.0-only
"""Reads the parts of kernel source files that the table generators need: a small C preprocessor, tokens, statements
and an interpreter for functions that choose by their arguments.

Nothing is skipped: a construct that is not known raises Unparsed when it is reached.
"""
import re
from pathlib import Path


class Unparsed(Exception):
    """A construct of the source that the generators do not know."""


def fail(where, what):
    raise Unparsed(f"{where}: {what}")


# The configuration that the tables are evaluated for: the options of Debian's x86-64 cloud kernel 7.2 that decide
# anything in the tables, and what other kernels offer beyond it. An option that is not listed stops the script where it
# would decide something.
CONFIG = {
    "64BIT": "y",
    "ARCH_HAS_NON_OVERLAPPING_ADDRESS_SPACE": "y",
    "AUDIT": "y",
    "BPF_EVENTS": "y",
    "BPF_JIT": "y",
    "BPF_LSM": "y",
    "BPF_STREAM_PARSER": "y",
    "BPF_SYSCALL": "y",
    "CGROUPS": "y",
    "CGROUP_BPF": "y",
    "CGROUP_NET_CLASSID": "y",
    "CGROUP_SCHED": "y",
    "CRASH_DUMP": "y",
    "CRYPTO": "y",
    "DEBUG_INFO_BTF": "y",
    "DEBUG_INFO_BTF_MODULES": "y",
    "DEBUG_PREEMPT": "n",
    "DMA_SHARED_BUFFER": "y",
    "DYNAMIC_FTRACE_WITH_DIRECT_CALLS": "y",
    "EXT_GROUP_SCHED": "y",
    "EXT_SUB_SCHED": "y",
    "FAIL_PAGE_ALLOC": "n",
    "FAILSLAB": "n",
    "FPROBE": "y",
    "FUNCTION_ERROR_INJECTION": "n",
    "IA32_EMULATION": "y",
    "INET": "y",
    "IPV6": "y",
    "IPV6_SEG6_BPF": "y",
    "KEYS": "y",
    "KPROBE_EVENTS": "y",
    "KUNIT": "n",
    "LWTUNNEL_BPF": "y",
    "MEMCG": "y",
    "MMU": "y",
    "MODULES": "y",
    "NET": "y",
    "NETFILTER_BPF_LINK": "y",
    "NF_CONNTRACK": "m",
    "PERF_EVENTS": "y",
    "PREEMPT_RCU": "y",
    "PROC_FS": "y",
    "S390": "n",
    "SECURITY": "y",
    "SECURITY_NETWORK": "y",
    "SECURITY_NETWORK_XFRM": "y",
    "SECURITY_PATH": "y",
    "SMP": "y",
    "SOCK_CGROUP_DATA": "y",
    "STACKTRACE": "y",
    "SYN_COOKIES": "y",
    "SYSTEM_DATA_VERIFICATION": "y",
    "TINY_RCU": "n",
    "TRACE_PREEMPT_TOGGLE": "n",
    "UML": "n",
    "UPROBES": "y",
    "UPROBE_EVENTS": "y",
    "X86_64": "y",
    "XFRM": "y",
    # Not set in the cloud flavour. bpf_override_return and the helpers of LIRC are told by their implementation, the
    # kernel functions of HID by their names.
    "BPF_KPROBE_OVERRIDE": "y",
    "BPF_LIRC_MODE2": "y",
    "HID_BPF": "y",
}
# Macros that are no options.
DEFINED = {"__BIG_ENDIAN": False, "__BIG_ENDIAN_BITFIELD": False}

# The options of CONFIG that a condition has asked for.
ASKED_FOR = set()

# What may not stand in a region whose condition is not known.
MATTERS = re.compile(r"bpf_func_proto|BPF_FUNC_|BTF_ID|BTF_KFUNCS|BTF_SET|kfunc_id_set|verifier_ops")


def condition(text):
    """Value of a preprocessor condition: True, False, or None where an option is not listed."""
    tokens = re.findall(r"\w+|&&|\|\||[!()<>=]=?|\S", text)
    unknown = []

    def option(name, values):
        if name.startswith("CONFIG_") and name[7:] in CONFIG:
            ASKED_FOR.add(name[7:])
            return CONFIG[name[7:]] in values
        if name in DEFINED:
            return DEFINED[name]
        if re.fullmatch(r"_\w+_H_*", name):
            return False  # include guard
        unknown.append(name)
        return False

    out = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token in ("IS_ENABLED", "IS_BUILTIN", "IS_MODULE", "defined"):
            if tokens[at + 1] == "(":
                name, step = tokens[at + 2], 4
            else:
                name, step = tokens[at + 1], 2
            values = {"IS_ENABLED": "ym", "IS_BUILTIN": "y", "IS_MODULE": "m", "defined": "y"}[token]
            out.append(str(option(name, values)))
            at += step
            continue
        if token in ("&&", "||", "!", "(", ")"):
            out.append({"&&": " and ", "||": " or ", "!": " not "}.get(token, token))
        elif token in ("0", "1"):
            out.append(token)
        else:
            return None
        at += 1
    return None if unknown else bool(eval("".join(out)))  # only True, False, and, or, not and brackets


STRING_OR_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def preprocess(path, text):
    """Text without comments and without the branches that the configuration leaves out. Line numbers stay."""
    text = STRING_OR_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]) if m[0][0] == "/" else m[0], text)
    lines = text.split("\n")
    out = []
    stack = []  # [value of this branch, a branch was taken, the line that opened it]
    at = 0
    while at < len(lines):
        line = lines[at]
        count = 1
        while line.endswith("\\") and at + count < len(lines):
            line = line[:-1] + " " + lines[at + count]
            count += 1
        match = re.match(r"\s*#\s*(ifdef|ifndef|if|elif|else|endif)\b(.*)", line)
        if match:
            kind, rest = match[1], match[2].strip()
            if kind in ("ifdef", "ifndef"):
                value = condition(f"defined({rest.split()[0]})")
                if kind == "ifndef" and value is not None:
                    value = not value
                stack.append([value, value, line.strip()])
            elif kind == "if":
                value = condition(rest)
                stack.append([value, value, line.strip()])
            elif not stack:
                fail(f"{path}:{at + 1}", f"#{kind} without #if")
            elif kind == "endif":
                stack.pop()
            else:
                taken = stack[-1][1]
                value = True if kind == "else" else condition(rest)
                if taken:
                    value = False
                elif taken is None:
                    value = None
                stack[-1] = [value, taken or value, line.strip()]
            out.extend([""] * count)
        elif all(value is True for value, *_ in stack):
            out.extend(lines[at : at + count])
        else:
            if not any(value is False for value, *_ in stack) and MATTERS.search(line):
                opened = [opening for value, _, opening in stack if value is None]
                fail(f"{path}:{at + 1}", f"{line.strip()!r} depends on an option that is not listed: {opened}")
            out.extend([""] * count)
        at += count
    return "\n".join(out)


TOKEN = re.compile(r"\s+|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\w+|->|==|!=|<=|>=|&&|\|\||<<|>>|\S")


def tokens_of(text):
    return [m[0] for m in TOKEN.finditer(text) if not m[0].isspace()]


def block_at(path, text, start):
    """The text from the brace at `start` to its partner, both included."""
    depth = 0
    for match in re.compile(STRING_OR_COMMENT.pattern + r"|[{}]", re.S).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start : match.end()]
    fail(path, "a block does not end")


class Source:
    """The files of a tree that were asked for, preprocessed."""

    def __init__(self, tree):
        self.tree = Path(tree)
        self.files = {}

    def text(self, path):
        if path not in self.files:
            full = self.tree / path
            if not full.is_file():
                fail(path, "no such file in the tree")
            self.files[path] = preprocess(path, full.read_text(errors="replace"))
        return self.files[path]

    def raw(self, path):
        return (self.tree / path).read_text(errors="replace")

    def containing(self, folders, word):
        """Paths of the .c files under `folders` that contain `word`."""
        found = []
        for folder in folders:
            for full in sorted((self.tree / folder).rglob("*.c")):
                if word in full.read_text(errors="replace"):
                    found.append(str(full.relative_to(self.tree)))
        if not found:
            fail(self.tree, f"no file with {word}")
        return found

    def enum(self, path, name):
        """Values of the enumerators of an enum without computed values."""
        match = re.search(r"enum " + name + r"\s*\{(.*?)\}", self.text(path), re.S)
        if not match:
            fail(path, f"no enum {name}")
        values, value = {}, 0
        for item in match[1].split(","):
            item = item.strip()
            if not item:
                continue
            if "=" in item:
                item, given = (part.strip() for part in item.split("=", 1))
                if given in values:
                    value = values[given]
                elif re.fullmatch(r"\d+|0x[0-9a-fA-F]+", given):
                    value = int(given, 0)
                else:
                    fail(path, f"value {given!r} in enum {name}")
            values[item] = value
            value += 1
        return values

    def initialisers(self, path, kind):
        """Definitions `KIND NAME = { ... };`: yields (name, static, {field: text}, position)."""
        text = self.text(path)
        for match in re.finditer(
            r"(?m)^(?P<static>static )?(?:const )?" + kind + r" (?P<name>\w+)(?: __\w+)?\s*=\s*\{", text
        ):
            body = block_at(path, text, match.end() - 1)[1:-1]
            fields = {}
            for part in split_top(body):
                item = re.fullmatch(r"\.(\w+)\s*=\s*(.+)", part, re.S)
                if not item:
                    fail(path, f"field {part!r} of {match['name']}")
                if item[1] in fields:
                    fail(path, f"field {item[1]} twice in {match['name']}")
                fields[item[1]] = " ".join(item[2].split())
            yield match["name"], bool(match["static"]), fields, match.start()


def split_top(body):
    """Parts of an initialiser, split at the commas outside brackets."""
    parts, depth, part = [], 0, ""
    for char in body:
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if char == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += char
    parts.append(part.strip())
    return [part for part in parts if part]


class Parser:
    """Statements and expressions of a function body, as nested tuples."""

    def __init__(self, where, tokens):
        self.where, self.tokens, self.at = where, tokens, 0

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def take(self, wanted=None):
        token = self.peek()
        if token is None or (wanted is not None and token != wanted):
            fail(self.where, f"{wanted!r} expected, {token!r} found")
        self.at += 1
        return token

    def block(self):
        self.take("{")
        body = []
        while self.peek() != "}":
            body.append(self.statement())
        self.take("}")
        return body

    def statement(self):
        token = self.peek()
        if token == "{":
            return ("block", self.block())
        if token == "if":
            self.take()
            self.take("(")
            test = self.expression()
            self.take(")")
            then = self.statement()
            other = None
            if self.peek() == "else":
                self.take()
                other = self.statement()
            return ("if", test, then, other)
        if token == "switch":
            self.take()
            self.take("(")
            value = self.expression()
            self.take(")")
            return ("switch", value, self.block())
        if token == "case":
            self.take()
            value = self.expression()
            self.take(":")
            return ("case", value)
        if token == "default":
            self.take()
            self.take(":")
            return ("default",)
        if token == "return":
            self.take()
            value = None if self.peek() == ";" else self.expression()
            self.take(";")
            return ("return", value)
        if token in ("break", "fallthrough"):
            self.take()
            self.take(";")
            return (token,)
        return self.simple()

    def simple(self):
        """A declaration, an assignment, or a statement that is kept as text and fails when it is reached."""
        start = self.at
        while self.peek() != ";":
            self.take()
        words = self.tokens[start : self.at]
        self.take(";")
        if "=" in words and words[words.index("=") - 1].isidentifier():
            equals = words.index("=")
            inner = Parser(self.where, words[equals + 1 :])
            try:
                value = inner.expression()
            except Unparsed:
                return ("text", " ".join(words))
            if inner.peek() is not None:
                return ("text", " ".join(words))
            return ("set", words[equals - 1], value)
        if all(word.isidentifier() or word in "*," for word in words) and len(words) > 1:
            return ("declare", words[-1])
        return ("text", " ".join(words))

    def expression(self):
        test = self.either()
        if self.peek() == "?":
            self.take()
            then = self.expression()
            self.take(":")
            return ("?", test, then, self.expression())
        return test

    def either(self):
        left = self.both()
        while self.peek() == "||":
            self.take()
            left = ("||", left, self.both())
        return left

    def both(self):
        left = self.compare()
        while self.peek() == "&&":
            self.take()
            left = ("&&", left, self.compare())
        return left

    def compare(self):
        left = self.bits()
        while self.peek() in ("==", "!=", "<", ">", "<=", ">="):
            left = (self.take(), left, self.bits())
        return left

    def bits(self):
        left = self.unary()
        while self.peek() in ("|", "&"):
            left = (self.take(), left, self.unary())
        return left

    def unary(self):
        if self.peek() in ("!", "&", "-"):
            return ("unary" + self.take(), self.unary())
        return self.postfix()

    def postfix(self):
        token = self.take()
        if token == "(":
            value = self.expression()
            self.take(")")
            return value
        if re.fullmatch(r"\d+|0x[0-9a-fA-F]+", token):
            return ("number", int(token, 0))
        if not token.isidentifier():
            fail(self.where, f"expression at {token!r}")
        if token in ("offsetof", "sizeof") and self.peek() == "(":
            inside = []
            self.take("(")
            while self.peek() != ")":
                inside.append(self.take())
            self.take(")")
            return (token, " ".join(inside))
        value = ("name", token)
        while self.peek() in ("(", "->", "["):
            opening = self.take()
            if opening == "->":
                value = ("->", value, self.take())
                continue
            if opening == "[":
                value = ("index", value, self.expression())
                self.take("]")
                continue
            args = []
            while self.peek() != ")":
                args.append(self.expression())
                if self.peek() == ",":
                    self.take()
            self.take(")")
            value = ("call", value, args)
        return value


class Function:
    """A function definition."""

    def __init__(self, path, name, params, text, start, weak, static):
        self.path, self.name, self.params, self.weak, self.static = path, name, params, weak, static
        self._text, self._start = text, start
        self._body = None

    @property
    def body(self):
        if self._body is None:
            parser = Parser(f"{self.path}: {self.name}", tokens_of(block_at(self.path, self._text, self._start)))
            self._body = parser.block()
        return self._body


def functions_of(source, path):
    """Every function defined in a file whose definition starts in the first column, by name."""
    text = source.text(path)
    found = {}
    for match in re.finditer(r"(?m)^(?P<head>[A-Za-z_][\w \t*]*[\s*])(?P<name>\w+)\((?P<params>[^(){};]*)\)\s*\{", text):
        params = []
        for param in match["params"].split(","):
            words = re.findall(r"\w+", param)
            if words and words != ["void"]:
                params.append(words[-1])
        # The type may stand on the line before.
        before = text[max(0, match.start() - 120) : match.start()].split("\n\n")[-1].split("}")[-1].split(";")[-1]
        head = before + match["head"]
        name = match["name"]
        if name in found:
            fail(path, f"function {name} defined twice")
        found[name] = Function(
            path, name, params, text, match.end() - 1, "__weak" in head, "static" in head.split()
        )
    return found


class Need(Exception):
    """The evaluation came to a question about the program that has no answer yet."""

    def __init__(self, question):
        self.question = question


# Functions called for an effect that decides nothing.
NO_MATTER = {"schedule_work"}


class Interpreter:
    """Runs functions on concrete arguments.

    `answers` holds what is known of the program, by question (`type`, `expected_attach_type` ...); a question that is
    not in it raises Need. `builtins` are functions given in Python: (interpreter, function, argument expressions,
    scope) to value. `names` are constants.
    """

    def __init__(self, functions, names, builtins, members, answers, arrays=None):
        self.functions, self.names, self.builtins, self.members = functions, names, builtins, members
        self.answers, self.arrays = answers, arrays or {}

    def ask(self, question):
        if question not in self.answers:
            raise Need(question)
        return self.answers[question]

    def find(self, path, name):
        """The function that a call in `path` reaches: a weak one gives way to another."""
        own = self.functions.get(path, {}).get(name)
        if own and not own.weak:
            return own
        found = [
            functions[name]
            for functions in self.functions.values()
            if name in functions and not functions[name].static
        ]
        strong = [function for function in found if not function.weak] or found
        if len(strong) != 1:
            fail(path, f"{len(strong)} definitions of {name}")
        return strong[0]

    def call(self, function, values):
        if len(values) != len(function.params):
            fail(f"{function.path}: {function.name}", "wrong number of arguments")
        scope = dict(zip(function.params, values))
        outcome = self.run(function, function.body, scope)
        if outcome is None or outcome[0] != "return":
            fail(f"{function.path}: {function.name}", "ends without a return")
        return outcome[1]

    def run(self, function, statements, scope):
        for statement in statements:
            kind = statement[0]
            if kind == "return":
                return ("return", None if statement[1] is None else self.value(function, statement[1], scope))
            if kind == "break":
                return ("break",)
            outcome = None
            if kind == "block":
                outcome = self.run(function, statement[1], scope)
            elif kind == "if":
                branch = statement[2] if self.value(function, statement[1], scope) else statement[3]
                if branch is not None:
                    outcome = self.run(function, [branch], scope)
            elif kind == "switch":
                outcome = self.switch(function, statement, scope)
            elif kind == "set":
                scope[statement[1]] = self.value(function, statement[2], scope)
            elif kind == "text" and statement[1].split()[0] in NO_MATTER:
                pass
            elif kind not in ("case", "default", "declare", "fallthrough"):
                fail(f"{function.path}: {function.name}", f"statement {statement[1]!r}")
            if outcome is not None:
                return outcome
        return None

    def switch(self, function, statement, scope):
        value = self.value(function, statement[1], scope)
        body = statement[2]
        start = None
        for at, inner in enumerate(body):
            if inner[0] == "case" and self.value(function, inner[1], scope) == value:
                start = at
                break
        if start is None:
            start = next((at for at, inner in enumerate(body) if inner[0] == "default"), None)
        if start is None:
            return None
        outcome = self.run(function, body[start:], scope)
        return None if outcome == ("break",) else outcome

    def value(self, function, node, scope):
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "name":
            if node[1] in scope:
                return scope[node[1]]
            if node[1] in self.names:
                return self.names[node[1]]
            fail(f"{function.path}: {function.name}", f"name {node[1]}")
        if kind == "offsetof":
            return ("offsetof", node[1])
        if kind == "->":
            path = self.member_path(function, node, scope)
            if path not in self.members:
                fail(f"{function.path}: {function.name}", f"member {path}")
            member = self.members[path]
            if callable(member):
                return member(self, function)
            return self.ask(path) if member is None else member
        if kind == "unary&":
            if node[1][0] != "name":
                fail(f"{function.path}: {function.name}", "address of an expression")
            return ("address", function.path, node[1][1])
        if kind == "unary!":
            return not self.value(function, node[1], scope)
        if kind == "unary-":
            return -self.value(function, node[1], scope)
        if kind == "?":
            test = self.value(function, node[1], scope)
            return self.value(function, node[2] if test else node[3], scope)
        if kind == "&&":
            return bool(self.value(function, node[1], scope)) and bool(self.value(function, node[2], scope))
        if kind == "||":
            return bool(self.value(function, node[1], scope)) or bool(self.value(function, node[2], scope))
        if kind in ("==", "!=", "<", ">", "<=", ">=", "|", "&"):
            left = self.value(function, node[1], scope)
            right = self.value(function, node[2], scope)
            if kind == "==":
                return left == right
            if kind == "!=":
                return left != right
            if not (isinstance(left, int) and isinstance(right, int)):
                fail(f"{function.path}: {function.name}", f"{kind} of no numbers")
            return {
                "<": left < right,
                ">": left > right,
                "<=": left <= right,
                ">=": left >= right,
                "|": left | right,
                "&": left & right,
            }[kind]
        if kind == "index":
            if node[1][0] != "name" or node[1][1] not in self.arrays:
                fail(f"{function.path}: {function.name}", "index of something else than a known array")
            return self.arrays[node[1][1]].get(self.value(function, node[2], scope), 0)
        if kind == "call":
            if node[1][0] != "name":
                fail(f"{function.path}: {function.name}", "call of an expression")
            name = node[1][1]
            if name in self.builtins:
                return self.builtins[name](self, function, node[2], scope)
            values = [self.value(function, arg, scope) for arg in node[2]]
            return self.call(self.find(function.path, name), values)
        fail(f"{function.path}: {function.name}", f"expression {kind}")

    def member_path(self, function, node, scope):
        if node[0] == "->":
            return self.member_path(function, node[1], scope) + "->" + node[2]
        value = self.value(function, node, scope)
        if not isinstance(value, str):
            fail(f"{function.path}: {function.name}", f"member of {value!r}")
        return value


def decide(outcome, domains, answers=None):
    """Rows tried in order that say what `outcome(answers)` gives: [({question: answers that fit}, outcome)].

    `outcome` raises Need for a question that it has no answer to. `domains` holds the answers to try for each; the last
    stands for every other. The last row has no conditions.
    """
    answers = answers or {}
    try:
        return [({}, outcome(answers))]
    except Need as need:
        question = need.question
    if question not in domains:
        fail("decide", f"question {question}")
    groups = []
    for answer in domains[question]:
        rows = decide(outcome, domains, answers | {question: answer})
        for group in groups:
            if group[1] == rows:
                group[0].append(answer)
                break
        else:
            groups.append(([answer], rows))
    rest = domains[question][-1]
    found = []
    for given, rows in groups:
        if rest not in given:
            found += [({question: tuple(given)} | conditions, result) for conditions, result in rows]
    found += next(rows for given, rows in groups if rest in given)
    # A row right before one that fits at least as often and says the same is not needed.
    at = len(found) - 2
    while at >= 0:
        follower = found[at + 1]
        if follower[1] == found[at][1] and all(found[at][0].get(q) == given for q, given in follower[0].items()):
            del found[at]
        at -= 1
    return found


def when(conditions):
    """Conditions of a row as Rust: `when().attach_type(&[1, 2])`."""
    methods = {
        "prog->type": "prog_type",
        "prog->expected_attach_type": "attach_type",
        "prog->sleepable": "sleepable",
        "struct_ops": "struct_ops",
        "attached to": "attached_to",
    }
    text = "when()"
    for question, method in methods.items():
        if question not in conditions:
            continue
        given = conditions[question]
        if question == "prog->sleepable":
            if len(given) != 1:
                fail("when", "sleepable either way")
            text += f".sleepable({str(given[0]).lower()})"
        else:
            items = ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in sorted(given))
            text += f".{method}(&[{items}])"
    if set(conditions) - set(methods):
        fail("when", f"conditions {conditions}")
    return text
