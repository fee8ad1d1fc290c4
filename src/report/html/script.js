"use strict";
// Everything that comes from the data is shown through textContent.
const byId = (id) => document.getElementById(id);
const read = (id) => {
  const element = byId(id);
  return element ? JSON.parse(element.textContent) : undefined;
};
// An element with a class, a text and children.
const make = (tag, name, text, ...children) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined && text !== null) element.textContent = text;
  element.append(...children);
  return element;
};
const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

const index = read("index");
const SIGNS = {
  match: "✓", same: "✓", analyzed: "✓", explained: "✓", loaded_differently: "≈",
  mismatch: "✗", changed: "✗", rejected: "✗", crashed: "†", timeout: "…", only_in_a: "A", only_in_b: "B",
  rejected_early: "○", not_loadable: "–", not_compared: "–",
};
const CELLS = {
  R: ["R", "read: the instruction may read it"],
  W: ["W", "written: the instruction writes it on every path"],
  X: ["X", "read and written"],
  L: ["|", "live: may be read later, before it is written"],
  D: ["·", "dead"],
};
// A kernel's log does not say what is live.
const NEITHER = ["–", "neither read nor written"];
const programs = index.programs.map(([kernel, object, name, status, insns, drawn], at) => {
  const path = index.objects[object];
  return { at, kernel, object: path, name, status, insns, drawn, words: `${path}/${name}`.toLowerCase() };
});

// ---- Lists of which only the part in sight is made -------------------------------------------------------------------

class Windowed {
  constructor(scroller, space, height, row) {
    Object.assign(this, { scroller, space, height, row, count: 0, from: 0, to: 0 });
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }
  show(count) {
    this.count = count;
    this.space.style.height = `${count * this.height}px`;
    this.draw(true);
  }
  draw(anew) {
    const from = Math.max(0, Math.floor((this.scroller.scrollTop - this.space.offsetTop) / this.height) - 20);
    const to = Math.min(this.count, from + Math.ceil(this.scroller.clientHeight / this.height) + 40);
    if (!anew && from === this.from && to === this.to) return;
    Object.assign(this, { from, to });
    const rows = [];
    for (let at = from; at < to; at++) {
      const row = this.row(at);
      row.style.top = `${at * this.height}px`;
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
  }
  // Brings a row into sight, below whatever sticks to the top.
  reveal(at, margin) {
    const top = at * this.height, { scroller } = this, seen = scroller.clientHeight - margin;
    if (top < scroller.scrollTop) scroller.scrollTop = Math.max(0, top - this.height);
    else if (top + 2 * this.height > scroller.scrollTop + seen) scroller.scrollTop = top + 2 * this.height - seen;
    this.draw(true);
  }
}

// ---- The list of programs --------------------------------------------------------------------------------------------

// What is wrong comes first.
const TONES = ["bad", "neutral", "good"];
const tone = (program) => TONES.indexOf(index.statuses[program.status][1]);
const ordered = [...programs].sort((a, b) => tone(a) - tone(b) || a.at - b.at);
let shown = ordered;
let selected = 0;
const wanted = new Set(index.statuses.keys());
const list = new Windowed(byId("list"), byId("list").firstElementChild, 42, (at) => {
  const program = shown[at];
  const [status, tone] = index.statuses[program.status];
  const where = make("div", "where", null, make("bdi", "", program.object));
  const item = make("div", "item", null,
    make("span", `sign ${tone}`, SIGNS[status] || "?"),
    make("div", "", program.name || "(object)"), where);
  // Each kernel has a row for a program, and which one a row is should be seen.
  const kernel = index.kernels[program.kernel];
  if (kernel && index.kernels.length > 1) item.children[1].append(make("span", "of", kernel.name));
  item.title = `${status}: ${program.object}/${program.name}${kernelName(program)}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", String(at === selected));
  item.dataset.program = program.at;
  item.addEventListener("click", () => { selected = at; open(program.at); });
  return item;
});
const kernelName = (program) => {
  const kernel = index.kernels[program.kernel];
  return kernel && index.kernels.length > 1 ? ` (${kernel.name})` : "";
};

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kernel = byId("kernel").value;
  const before = shown[selected];
  shown = ordered.filter((program) => wanted.has(program.status)
    && (kernel === "" || program.kernel === Number(kernel))
    && words.every((word) => program.words.includes(word)));
  selected = Math.max(0, shown.indexOf(before));
  byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${counted(programs.length, "program")}`;
  list.show(shown.length);
}

function statusButtons() {
  const counts = index.statuses.map(() => 0);
  for (const program of programs) counts[program.status]++;
  index.statuses.forEach(([status, tone], at) => {
    const button = make("button", tone, `${SIGNS[status] || "?"} ${status} ${counts[at].toLocaleString("en")}`);
    button.type = "button";
    button.dataset.status = status;
    button.setAttribute("aria-pressed", "true");
    button.title = `Show or hide ${status}; double click: only these`;
    const pressed = () => [...byId("statuses").children].forEach((child, at) =>
      child.setAttribute("aria-pressed", String(wanted.has(at))));
    button.addEventListener("click", () => {
      if (!wanted.delete(at)) wanted.add(at);
      pressed();
      filter();
    });
    button.addEventListener("dblclick", () => {
      wanted.clear();
      wanted.add(at);
      pressed();
      filter();
    });
    byId("statuses").append(button);
  });
}

// ---- One program -----------------------------------------------------------------------------------------------------

// What is open (the own frame comes first, then those of the callers): the program, its picture, the instance, the rows of the grid, and the row selected.
let now = null;
let remembering = 0;

// The address of a view: program, instance, instruction.
const address = (program, instance, insn) => `#${[program, instance, insn].filter((part) => part !== undefined).join("/")}`;
const open = (program, instance, insn) => {
  const to = address(program, instance, insn);
  if (location.hash === to) show();
  else location.hash = to;
};

function show() {
  clearTimeout(remembering);
  const [at, instance, insn] = location.hash.slice(1).split("/").map((part) => (part === "" ? NaN : Number(part)));
  const program = programs[at];
  if (!program) {
    now = null;
    byId("view").replaceChildren(welcome());
    return;
  }
  if (!now || now.program !== program) openProgram(program);
  const { picture } = now;
  if (!picture) return;
  const chosen = picture.instances[instance] ? instance : now.first;
  if (now.instance !== chosen) showInstance(chosen);
  const row = Number.isInteger(insn) ? now.rows.findIndex((row) => row[0] === insn) : -1;
  if (row >= 0) select(row);
}

function welcome() {
  const panel = make("div", "empty");
  panel.append(make("p", "", programs.length ? "Choose a program: j and k, then Enter." : "There are no programs in this report."));
  for (const kernel of index.kernels) {
    panel.append(make("p", "mono", [kernel.name, kernel.release !== kernel.name && kernel.release,
      `dialect ${kernel.dialect}`, kernel.how].filter(Boolean).join(" · ")));
  }
  return panel;
}

function openProgram(program) {
  const details = read(`details-${program.at}`) || {};
  const { missing, ...drawn } = read(`picture-${program.at}`) || {};
  const picture = drawn.insns ? drawn : undefined;
  const [status, tone] = index.statuses[program.status];
  const about = make("div");
  about.id = "about";
  about.append(make("h2", "", program.name || program.object, make("span", `badge ${tone}`, `${SIGNS[status] || "?"} ${status}`)));
  const kernel = index.kernels[program.kernel];
  about.append(make("p", "dim", [
    program.object, kernel && kernel.name, kernel && `dialect ${kernel.dialect}`, counted(program.insns, "instruction"),
    details.lines ? `${counted(details.lines, "line")} compared` : "",
    details.verdict && `verdict: ${details.verdict}`,
  ].filter(Boolean).join(" · ")));
  if (details.reason) about.append(make("p", tone, details.reason));
  for (const line of details.also || []) about.append(make("p", "", line));
  const differs = details.difference;
  if (differs) about.append(difference(differs, program));
  if (picture && picture.failed && !details.reason) about.append(make("p", "neutral", `The verifier refuses the program here: ${picture.failed}`));
  if (picture && !picture.stack && !picture.failed) {
    about.append(make("p", "neutral", "This generation of the verifier finds out about the stack while it walks paths: of the program alone, only the live registers are known."));
  }
  if (picture && picture.failed && picture.instances.some((instance) => instance.only)) {
    about.append(make("p", "neutral", "The model has no picture of it. What is drawn is what the kernel lists as read and written."));
  }
  if (picture && picture.only_model) about.append(make("p", "neutral", "What is drawn is what the model says alone: nothing that a kernel says is drawn beside it."));
  if (picture && picture.cut) about.append(make("p", "neutral", "What the kernel says breaks off before its end: where nothing of it is drawn, it may have been to come."));
  if (missing) about.append(make("p", "neutral", missing));
  byId("view").replaceChildren(about);
  byId("view").scrollTop = 0;
  now = { program, picture, differs, instance: undefined, first: 0, rows: [], row: -1 };
  document.title = `${program.name || program.object} – livediff`;
  if (picture) {
    now.first = firstInstance(picture, differs);
    about.append(instanceTree(picture));
    frameOfGrid();
  }
  const place = shown.indexOf(program);
  if (place >= 0) {
    selected = place;
    list.reveal(place, 0);
  } else {
    list.draw(true);
  }
}

// The instance to begin with: where the difference begins, one that differs there if there is one.
function firstInstance(picture, differs) {
  const subprog = differs ? differs.subprog : undefined;
  const has = (instance, insn) => instance.frames.some((frame) => (frame.kernel || []).some(([at]) => at === insn));
  const order = picture.instances.map((instance, at) => at);
  const rank = (at) => {
    const instance = picture.instances[at];
    if (!differs) return instance.depth;
    const there = instance.subprog === subprog ? 0 : 4;
    const exact = differs.insn !== null && has(instance, differs.insn) ? 0 : 2;
    return there + exact + (instance.frames.some((frame) => frame.kernel) || instance.only ? 0 : 1);
  };
  return order.sort((a, b) => rank(a) - rank(b) || a - b)[0] || 0;
}

function difference(differs, program) {
  const panel = make("div");
  const [minus, plus] = index.sides;
  const where = make("p", "", `First difference in line ${differs.line} of the section: ${differs.place}. `);
  if (differs.insn !== null && program.drawn) {
    const go = make("button", "", `Go to instruction ${differs.insn}`);
    go.id = "go";
    go.addEventListener("click", () => { open(program.at, now.first, differs.insn); byId("grid").focus(); });
    where.append(go);
  }
  panel.append(where);
  if (differs.facts.length) {
    const facts = make("ul", "facts mono");
    for (const fact of differs.facts) facts.append(make("li", "", fact));
    if (differs.more_facts) facts.append(make("li", "", `and ${differs.more_facts} more`));
    const few = differs.facts.length <= 4;
    const folded = make("details", "", null, make("summary", "", `What differs (from ${minus} to ${plus}): ${counted(differs.facts.length + differs.more_facts, "fact")}`), facts);
    folded.open = few;
    panel.append(folded);
  }
  if (differs.unified) {
    const diff = make("pre", "diff");
    for (const line of differs.unified.replace(/\n$/, "").split("\n")) {
      const kind = line.startsWith("@@") ? "hunk" : line.startsWith("-") ? "minus" : line.startsWith("+") ? "plus" : "";
      diff.append(make("div", kind, line || " "));
    }
    const folded = make("details", "", null, make("summary", "", `Unified diff: - is ${minus}, + is ${plus}`), diff);
    folded.open = true;
    panel.append(folded);
  }
  return panel;
}

const subprogName = (picture, subprog) => {
  const known = picture.subprogs[subprog];
  return known && known[2] ? known[2] : `subprog#${subprog}`;
};
const instanceName = (picture, at) => {
  const instance = picture.instances[at];
  return `${subprogName(picture, instance.subprog)} (${instance.label})`;
};

// The call graph: each instance once, below the first that calls it; other callers are named.
function instanceTree(picture) {
  const panel = make("div");
  if (picture.instances.length < 2) return panel;
  panel.append(make("h3", "", `Call graph: ${counted(picture.instances.length, "instance")}`));
  const tree = make("div");
  tree.id = "instances";
  const callers = picture.instances.map(() => []);
  picture.instances.forEach((instance, at) => instance.calls.forEach(([insn, to]) => callers[to].push([insn, at])));
  const seen = new Set();
  const add = (at, insn, depth) => {
    if (seen.has(at)) return;
    seen.add(at);
    const instance = picture.instances[at];
    const button = make("button", "", instanceName(picture, at));
    button.dataset.instance = at;
    button.addEventListener("click", () => { open(now.program.at, at); byId("grid").focus(); });
    const row = make("div", "row", null);
    row.style.paddingLeft = `${depth * 22}px`;
    row.append(make("span", "dim mono", insn !== undefined ? `└ insn ${insn} →` : instance.depth ? "called" : "entry"), button);
    if (instance.only) row.append(make("span", "bad", `only ${instance.only === "kernel" ? "the kernel" : "the model"} has it`));
    const differing = instance.frames.reduce((sum, frame) => sum + (frame.kernel || []).length, 0);
    if (differing && !instance.only) row.append(make("span", "bad", `✗ differs (${differing})`));
    if (callers[at].length > 1) row.append(make("span", "dim", `called by ${callers[at].length} instances`));
    tree.append(row);
    for (const [insn, to] of instance.calls) add(to, insn, depth + 1);
  };
  picture.instances.forEach((_, at) => { if (!callers[at].length) add(at, undefined, 0); });
  picture.instances.forEach((_, at) => add(at, undefined, 0));
  panel.append(tree);
  return panel;
}

// ---- The grid --------------------------------------------------------------------------------------------------------

function frameOfGrid() {
  const legend = make("div", "legend");
  for (const [kind, [sign, text]] of Object.entries(CELLS)) {
    legend.append(make("span", "", null, make("span", `key mono ${kind}`, sign), make("span", "", text.split(":")[0])));
  }
  if (now.picture.instances.some((instance) => instance.frames.some((frame) => frame.kernel))) {
    const two = make("span", "key mono two", null, make("i", "R", "R"), make("i", "D", NEITHER[0]));
    legend.append(make("span", "", null, two, make("span", "", "above the kernel's, below the model's")));
  }
  if ((now.picture.lines || []).length) {
    const toggle = make("button", "", "Source lines");
    toggle.id = "sources";
    toggle.title = "Show the lines of the source (s)";
    toggle.setAttribute("aria-pressed", String(sources));
    toggle.addEventListener("click", () => {
      sources = !sources;
      toggle.setAttribute("aria-pressed", String(sources));
      const [insn] = now.rows[now.row] || [];
      showInstance(now.instance);
      const row = now.rows.findIndex((row) => row[0] === insn);
      if (row >= 0) select(row);
    });
    legend.append(toggle);
  }
  const grid = make("div", "mono");
  grid.id = "grid";
  grid.tabIndex = 0;
  grid.setAttribute("aria-label", "Instructions and stack slots");
  const head = make("div", "head");
  const space = make("div", "space");
  grid.append(head, space);
  const detail = make("div", "mono");
  detail.id = "detail";
  byId("view").append(legend, grid, detail);
  now.grid = new Windowed(grid, space, 22, gridRow);
  now.head = head;
  grid.addEventListener("mousemove", (event) => {
    const line = event.target.closest(".space .line");
    if (line) tip(event, Number(line.dataset.row), event.target);
    else byId("tip").hidden = true;
  });
  grid.addEventListener("mouseleave", () => { byId("tip").hidden = true; });
}

const mask = (hex) => BigInt(`0x${hex}`);
// The value of a list of runs before an instruction.
function at(runs, insn) {
  let low = 0, high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[middle][0] <= insn) low = middle + 1;
    else high = middle;
  }
  return low ? runs[low - 1][1] : undefined;
}

// A line of the source stands before the instructions that come from it: a row without an instruction, which is number -1.
let sources = true;
const fileName = (path) => path.split("/").pop();
function withSources(picture, insns) {
  const lines = picture.lines || [];
  if (!sources || !lines.length) return insns;
  const begins = new Map(lines.map((line) => [line[0], line]));
  const rows = [];
  for (const insn of insns) {
    const line = begins.get(insn[0]);
    if (line) {
      const [, file, number, text] = line;
      const path = picture.files[file] || "";
      rows.push(number ? [-1, `${fileName(path)}:${number}  ${text}`, `${path}:${number}`] : [-1, "(no line of the source)", ""]);
    }
    rows.push(insn);
  }
  return rows;
}

function showInstance(chosen) {
  const { picture } = now;
  const instance = picture.instances[chosen];
  const [start, end] = picture.subprogs[instance.subprog] || [0, 0];
  now.instance = chosen;
  now.only = instance.only;
  now.rows = withSources(picture, picture.insns.filter(([insn]) => insn >= start && insn < end));
  now.calls = new Map(instance.calls);
  now.pointers = instance.pointers;
  now.frames = instance.frames.map((frame) => {
    const sparse = (pairs) => new Map(pairs.map(([insn, hex]) => [insn, mask(hex)]));
    const live = frame.live.map(([insn, hex]) => [insn, mask(hex)]);
    const kernel = new Map((frame.kernel || []).map(([insn, use, def]) => [insn, [mask(use), mask(def)]]));
    const drawn = { frame: frame.frame, use: sparse(frame.use), def: sparse(frame.def), live, kernel };
    let touched = 0n;
    for (const bits of [...drawn.use.values(), ...drawn.def.values(), ...live.map(([, bits]) => bits), ...[...kernel.values()].flat()]) touched |= bits;
    drawn.slots = [];
    for (let slot = 0; slot < 64; slot++) if ((touched >> BigInt(2 * slot)) & 3n) drawn.slots.push(slot);
    return drawn;
  }).filter((frame) => frame.slots.length).sort((a, b) => b.frame - a.frame);
  const widest = now.rows.reduce((most, [insn, text]) => insn < 0 ? most : Math.max(most, text.length + (now.calls.has(insn) ? instanceName(picture, now.calls.get(insn)).length + 7 : 0)), 22);
  now.width = `${Math.min(widest, 72) + 1}ch`;
  header(instance);
  for (const button of document.querySelectorAll("#instances button")) {
    button.setAttribute("aria-current", String(Number(button.dataset.instance) === chosen));
    // Scrolls the call graph alone, and leaves the rest where it is.
    if (Number(button.dataset.instance) === chosen) {
      const tree = byId("instances"), top = button.offsetTop - tree.offsetTop;
      if (top < tree.scrollTop || top + 26 > tree.scrollTop + tree.clientHeight) tree.scrollTop = top - 60;
    }
  }
  const begins = now.differs && now.differs.insn !== null ? now.rows.findIndex((row) => row[0] === now.differs.insn) : -1;
  now.row = Math.max(0, begins);
  now.grid.scroller.scrollTop = 0;
  now.grid.show(now.rows.length);
  select(now.row);
}

function header(instance) {
  const names = make("div", "line"), offsets = make("div", "line");
  const left = (regs, text) => {
    const side = make("span", "left", null, make("span", "num", regs ? "insn" : ""), make("span", "regs", regs ? "live regs" : ""), make("span", "loop", regs ? "loop" : ""));
    side.lastChild.title = "Number of the strongly connected component that the instruction lies in";
    const label = make("span", "text", text);
    label.style.width = now.width;
    side.append(label);
    return side;
  };
  names.append(left(false, instanceName(now.picture, now.instance)));
  offsets.append(left(true, "instruction"));
  for (const frame of now.frames) {
    const own = frame.frame === instance.depth;
    const title = make("strong", "", `fp${frame.frame}${own && frame.slots.length > 2 ? " (own)" : ""}`);
    title.title = own ? "The subprogram's own frame" : "The frame of a caller";
    const name = make("span", "frame", null, title);
    const cells = make("span", "frame");
    let gaps = 0;
    frame.slots.forEach((slot, position) => {
      const gap = position > 0 && frame.slots[position - 1] !== slot - 1;
      gaps += gap ? 1 : 0;
      cells.append(make("span", gap ? "gap" : "", String(-8 * (slot + 1))));
    });
    title.style.width = `${30 * frame.slots.length + 5 * gaps}px`;
    title.style.flex = "none";
    names.append(name);
    offsets.append(cells);
  }
  if (!now.frames.length) names.append(make("span", "frame", "no stack slot is touched"));
  now.head.replaceChildren(names, offsets);
}

const kindOf = (use, def, live, bit) => {
  const read = (use >> bit) & 1n, written = (def >> bit) & 1n;
  if (read) return written ? "X" : "R";
  if (written) return "W";
  return (live >> bit) & 1n ? "L" : "D";
};
const masks = (frame, insn) => ({
  use: frame.use.get(insn) || 0n, def: frame.def.get(insn) || 0n, live: at(frame.live, insn) || 0n, kernel: frame.kernel.get(insn),
});

function gridRow(position) {
  const [insn, text, live, loop, flags] = now.rows[position];
  const line = make("div", "line");
  line.dataset.row = position;
  if (insn < 0) {
    line.classList.add("source");
    line.append(make("span", "left", null, make("span", "words", text)));
    line.title = live;
    line.addEventListener("click", () => select(position + 1));
    return line;
  }
  line.dataset.insn = insn;
  if (!(flags & 1)) line.classList.add("unreached");
  if (position === now.row) line.classList.add("selected");
  if (now.differs && now.differs.insn === insn) line.classList.add("begins");
  const regs = make("span", "regs");
  for (let reg = 0; reg < 10 && !now.picture.failed; reg++) regs.append((live >> reg) & 1 ? make("b", "", String(reg)) : ".");
  const words = make("span", "text", text + (flags & 2 ? "  ; zext" : ""));
  words.style.width = now.width;
  if (now.calls.has(insn)) {
    const callee = now.calls.get(insn);
    const button = make("button", "", `→ ${instanceName(now.picture, callee)}`);
    button.dataset.callee = callee;
    button.addEventListener("click", (event) => { event.stopPropagation(); follow(insn); });
    words.append(button);
  }
  line.append(make("span", "left", null, make("span", "num", String(insn)), regs, make("span", "loop", loop ? String(loop) : ""), words));
  for (const frame of now.frames) {
    const { use, def, live, kernel } = masks(frame, insn);
    const cells = make("span", "frame");
    const unknown = now.only === "kernel";
    frame.slots.forEach((slot, place) => {
      for (const half of [0, 1]) {
        const bit = BigInt(2 * slot + half);
        const kind = kindOf(use, def, live, bit);
        const theirs = kernel ? kindOf(kernel[0], kernel[1], live, bit) : kind;
        const sign = "LD".includes(theirs) ? NEITHER[0] : theirs;
        const gap = half === 0 && place > 0 && frame.slots[place - 1] !== slot - 1;
        const shape = `${half ? "" : "slot"}${gap ? " gap" : ""}`;
        const alone = "LD".includes(theirs) ? make("span", shape) : make("span", `${shape} ${theirs}`, sign);
        const cell = unknown ? alone : theirs === kind
          ? make("span", `${shape} ${kind}`, CELLS[kind][0])
          : make("span", `${shape} two`, null, make("i", "LD".includes(theirs) ? "D" : theirs, sign), make("i", kind, CELLS[kind][0]));
        cell.dataset.half = `${frame.frame}/${bit}`;
        cells.append(cell);
      }
    });
    line.append(cells);
  }
  line.addEventListener("click", () => select(position));
  line.addEventListener("dblclick", () => follow(insn));
  return line;
}

function follow(insn) {
  const callee = now.calls.get(insn);
  if (callee === undefined) return;
  // Where the call stands stays in the history, to come back to.
  clearTimeout(remembering);
  history.replaceState(null, "", address(now.program.at, now.instance, insn));
  open(now.program.at, callee);
  byId("grid").focus();
}

// Slots as the log spells them: fp0-8..-24 fp0-28h.
function slotsText(frame, bits) {
  const both = (slot) => (slot < 64 ? Number((bits >> BigInt(2 * slot)) & 3n) : 0);
  const words = [];
  for (let slot = 0; slot < 64; slot++) {
    const offset = (slot) => -8 * (slot + 1);
    const halves = both(slot);
    if (halves === 3 && both(slot + 1) === 3 && both(slot + 2) === 3) {
      const first = slot;
      while (both(slot + 1) === 3) slot++;
      words.push(`fp${frame}${offset(first)}..${offset(slot)}`);
    } else if (halves === 3) words.push(`fp${frame}${offset(slot)}`);
    else if (halves) words.push(`fp${frame}${offset(slot) + (halves === 1 ? 4 : 0)}h`);
  }
  return words.join(" ") || "nothing";
}

function describe(insn) {
  const lines = [];
  const pointers = at(now.pointers, insn);
  if (pointers) lines.push(`pointers before it: ${pointers}`);
  for (const frame of now.frames) {
    const { use, def, live, kernel } = masks(frame, insn);
    const f = frame.frame;
    const parts = [];
    if (use) parts.push(`reads ${slotsText(f, use)}`);
    if (def) parts.push(`writes ${slotsText(f, def)}`);
    if (live) parts.push(`live before: ${slotsText(f, live)}`);
    lines.push(`fp${f}: ${parts.join("; ") || "nothing"}`);
    if (now.only === "kernel") lines.pop();
    if (kernel) lines.push(`fp${f}, the kernel: reads ${slotsText(f, kernel[0])}; writes ${slotsText(f, kernel[1])}`);
  }
  return lines;
}

function tip(event, position, target) {
  const box = byId("tip"), row = now.rows[position];
  if (!row || row[0] < 0) {
    box.hidden = true;
    return;
  }
  const pointers = at(now.pointers, row[0]);
  const lines = [];
  if (target.closest(".two, [data-half]")) {
    const [frame, bit] = target.closest("[data-half]").dataset.half.split("/").map(Number);
    const drawn = now.frames.find((known) => known.frame === frame);
    const { use, def, live, kernel } = masks(drawn, row[0]);
    const kind = (use, def) => kindOf(use, def, live, BigInt(bit));
    const mine = CELLS[kind(use, def)][1];
    // Of an instance that the model has not, only the kernel's listing is known.
    const known = now.only !== "kernel";
    const said = kernel && kind(...kernel) !== kind(use, def) ? kind(...kernel) : "";
    const theirs = !said ? mine : "LD".includes(said) ? NEITHER[1] : CELLS[said][1];
    const bytes = `insn ${row[0]}, fp${frame}${-4 * (bit + 1)} (4 bytes)`;
    if (!known) lines.push(`${bytes}, the kernel: ${said ? theirs : NEITHER[1]}`);
    else lines.push(theirs === mine ? `${bytes}: ${mine}` : `${bytes}\nkernel: ${theirs}\nmodel: ${mine}`);
  } else if (target.closest(".text") && row[1].length > 60) lines.push(row[1]);
  if (pointers) lines.push(`pointers: ${pointers}`);
  box.hidden = !lines.length;
  box.textContent = lines.join("\n");
  box.classList.add("mono");
  const { offsetWidth: width, offsetHeight: height } = box;
  box.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
  box.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}

function select(position) {
  if (now.rows[position] && now.rows[position][0] < 0) position++;
  if (!now.rows[position]) return;
  now.row = position;
  const [insn, text, , , flags] = now.rows[position];
  now.grid.reveal(position, now.head.offsetHeight);
  const instance = now.picture.instances[now.instance];
  const lines = [`insn ${insn}: ${text}${flags & 1 ? "" : "  (not reached)"}`, ...describe(insn)];
  if (instance.pointers_of) lines.push(`(pointers as reached through the calls ${instance.pointers_of.join(", ")}; other calls lead here too)`);
  byId("detail").replaceChildren(...lines.map((line) => make("div", "", line)));
  // Browsers allow few changes of the address in a short time.
  const here = address(now.program.at, now.instance, insn);
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", here), 200);
}

// ---- Keys, theme, beginning ------------------------------------------------------------------------------------------

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
}
const dark = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("livediff-theme"); } catch { return null; } };
setTheme(["dark", "light"].includes(stored()) ? stored() : dark.matches ? "dark" : "light");
dark.addEventListener("change", () => { if (!stored()) setTheme(dark.matches ? "dark" : "light"); });
byId("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  try { localStorage.setItem("livediff-theme", theme); } catch { /* It holds until the page is closed. */ }
});
byId("help-button").addEventListener("click", () => byId("help").showModal());
for (const [kind, [sign, text]] of Object.entries(CELLS)) {
  byId("signs").append(make("dt", "", null, make("span", `key mono ${kind}`, sign)), make("dd", "", text));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const inSearch = event.target === byId("search");
  const inProgram = Boolean(now && now.picture && byId("view").contains(document.activeElement));
  const onButton = event.target.closest("button, select, summary, input");
  const step = (by) => {
    if (inProgram) {
      let to = now.row + by;
      while (now.rows[to] && now.rows[to][0] < 0) to += by;
      if (now.rows[to]) select(to);
    } else if (shown.length) {
      selected = Math.min(shown.length - 1, Math.max(0, selected + by));
      list.reveal(selected, 0);
    }
  };
  const openSelected = () => {
    if (!shown[selected]) return;
    open(shown[selected].at);
    // Where the address is new, it is shown once the browser says so.
    setTimeout(() => (byId("grid") || byId("view")).focus(), 0);
  };
  const keys = {
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
    "/": () => byId("search").focus(),
    t: () => byId("theme").click(),
    s: () => byId("sources") && byId("sources").click(),
    "?": () => byId("help").showModal(),
    Enter: () => (inProgram ? follow(now.rows[now.row][0]) : openSelected()),
    Escape: () => byId("list").focus(),
  };
  if (inSearch && !["Escape", "Enter", "ArrowDown", "ArrowUp"].includes(event.key)) return;
  if (onButton && !inSearch && ["Enter", "ArrowDown", "ArrowUp"].includes(event.key)) return;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

byId("what").textContent = `${index.subcommand} · ${index.version}`;
const instructions = programs.reduce((sum, program) => sum + program.insns, 0);
byId("totals").textContent = `${counted(programs.length, "program")}, ${counted(instructions, "instruction")}`
  + (index.kernels.length > 1 ? `, ${counted(index.kernels.length, "kernel")}` : index.kernels[0] ? `, ${index.kernels[0].name}, dialect ${index.kernels[0].dialect}` : "");
for (const note of index.notes) byId("notes").append(make("p", "", note));
byId("kernel").append(new Option("All kernels", ""));
index.kernels.forEach((kernel, at) => byId("kernel").append(new Option(`${kernel.name} (dialect ${kernel.dialect})`, at)));
byId("kernel").hidden = index.kernels.length < 2 || index.subcommand === "compare";
byId("kernel").addEventListener("change", filter);
byId("search").addEventListener("input", filter);
addEventListener("hashchange", show);
statusButtons();
filter();
show();
byId("list").focus();
