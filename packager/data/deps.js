"use strict";
// Draws the graph that is in this page, and tells about the module that is chosen: #node=ID in the address, so that
// links and the browser's own way back work. All text comes into the page as text, never as markup.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const graph = read("graph"); // what `packager deps --format json` prints
  const symbols = read("symbols"); // the names, and for each edge which of them it asks for
  const drawing = read("drawing");
  const BOX = 22, SHOWN = 12, MOST_FINDINGS = 200, MOST_SYMBOLS = 40;
  const SVG = "http://www.w3.org/2000/svg";
  const KINDS = {
    tree: ["", "Files", "a file of the tree"],
    windows: ["⊞", "Windows", "a DLL of Windows"],
    "api-set": ["≡", "API sets", "an API set"],
    assembly: ["◇", "Assemblies", "a side-by-side assembly"],
    plantable: ["△", "Plantable", ""],
    missing: ["✕", "Missing", "missing"],
  };
  const HOW = {
    import: "imports", "delay-import": "delay-loads", forwarder: "forwards to", assembly: "names in its manifest",
  };

  const $ = (id) => document.getElementById(id);
  const canvas = $("canvas"), world = $("world"), panel = $("panel"), search = $("search");
  const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
  /** A name out of a file: what would not be seen, or would turn the text around, is shown as its code. */
  const clean = (text) => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => {
    const code = one.codePointAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
  const grouped = (values, key) => {
    const found = new Map();
    for (const value of values) {
      const name = key(value);
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(value);
    }
    return found;
  };

  /** An element. `on...` attributes are listeners; what is false, empty or missing is left out; texts are cleaned. */
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (typeof value === "function") made.addEventListener(name.slice(2), value);
      else if (name === "title" || name === "aria-label") made.setAttribute(name, clean(value));
      else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    }
    const kept = children.flat(2).filter((child) => child != null && child !== false && child !== "");
    made.append(...kept.map((child) => (child instanceof Node ? child : clean(child))));
    return made;
  }

  // What is known. ----------------------------------------------------------------

  const modules = new Map(graph.modules.map((module) => [module.id, module]));
  graph.edges.forEach((edge, place) => { edge.wanted = symbols.edges[place]; });
  const needs = grouped(graph.edges, (edge) => edge.importer);
  const neededBy = grouped(graph.edges, (edge) => edge.target);
  const allRoots = graph.modules.filter((module) => module.root).length;
  const apiSet = (edge) => `api-set:${edge.name.toLowerCase()}`;
  const asked = grouped(graph.edges.filter((edge) => edge.rule === "api-set"), apiSet);
  const nodes = drawing.nodes.map((node, place) => ({ ...node, place, lines: [] }));
  const places = new Map(nodes.map((node) => [node.id, node]));
  const lines = drawing.lines.map((line) => ({ ...line, from: nodes[line.source], to: nodes[line.target] }));
  for (const line of lines) {
    line.from.lines.push(line);
    line.to.lines.push(line);
  }
  const findings = grouped(graph.findings, (finding) => finding.file);
  for (const node of nodes) {
    const module = modules.get(node.id);
    node.module = module;
    node.root = Boolean(module?.root);
    node.look = node.kind === "missing" ? "missing" : node.plantable ? "plantable" : node.kind;
    const about = findings.get(node.id) ?? [];
    node.flag = about.some((one) => one.severity === "error") ? "bad" : about.length ? "warn" : "";
    const names = (neededBy.get(node.id) ?? []).map((edge) => edge.name);
    node.words = [node.id, node.label, ...new Set(names)].join("\n").toLowerCase();
  }

  /** The importers of a node, each with its edges: of an API set those that name it. */
  function importers(id) {
    return [...grouped(asked.get(id) ?? neededBy.get(id) ?? [], (edge) => edge.importer)];
  }

  /** Everything that leads to a node, itself left out. */
  function above(id) {
    const seen = new Set([id]), waiting = [id];
    while (waiting.length) {
      for (const [importer] of importers(waiting.pop())) {
        if (!seen.has(importer)) {
          seen.add(importer);
          waiting.push(importer);
        }
      }
    }
    seen.delete(id);
    return seen;
  }

  /** The shortest way to a node, as ids, from a program if one leads there, else from another root; empty if none. */
  function way(id) {
    const next = new Map([[id, null]]), waiting = [id];
    for (const one of waiting) {
      for (const [importer] of importers(one)) {
        if (!next.has(importer)) {
          next.set(importer, one);
          waiting.push(importer);
        }
      }
    }
    const roots = waiting.filter((one) => modules.get(one)?.root);
    const found = [];
    for (let at = roots.find((one) => modules.get(one).program) ?? roots[0] ?? null; at !== null; at = next.get(at)) {
      found.push(at);
    }
    return found;
  }

  // The drawing. ------------------------------------------------------------------

  const hidden = new Set(); // looks that are switched off
  const shows = (node) => !hidden.has(node.look);
  const svg = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  function curve({ from, to }) {
    const y = from.y + BOX / 2, end = to.y + BOX / 2, right = from.x + from.width;
    if (to.x > right) {
      const bend = Math.max(36, (to.x - right) * 0.45);
      return `M${right} ${y}C${right + bend} ${y} ${to.x - bend} ${end} ${to.x} ${end}`;
    }
    const side = to.x + to.width, far = Math.max(right, side) + 50;
    return `M${right} ${y}C${far} ${y} ${far} ${end} ${side} ${end}`;
  }

  /** Whether a line is drawn; those past an API set are where API sets are not. */
  const visible = (line) => shows(line.from) && shows(line.to) && (!line.through || hidden.has("api-set"));
  const styleOf = (style) => ({ bad: "bad-line", assembly: "assembly-line" })[style] ?? style;
  const picture = svg("svg", { width: drawing.width, height: drawing.height, "aria-hidden": "true" });
  const background = svg("g", { class: "lines" });
  const marked = svg("g", { class: "marked" });

  function drawLines() {
    const all = grouped(lines.filter(visible), (line) => line.style);
    background.replaceChildren(...[...all].map(([style, some]) => {
      const path = svg("path", { class: styleOf(style), d: some.map(curve).join("") });
      // The more there are, the fainter, or they would hide one another; what is wrong stays seen.
      const [faintest, factor] = style === "bad" ? [0.3, 9] : [0.1, 7];
      path.style.opacity = String(Math.min(0.6, Math.max(faintest, factor / Math.sqrt(some.length))));
      return path;
    }));
  }

  function tip(direction) {
    const marker = svg("marker", {
      id: `tip-${direction}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
      markerUnits: "userSpaceOnUse",
    });
    const shape = svg("polygon", { points: "0,0 8,4 0,8" });
    marker.append(shape);
    return marker;
  }

  function build() {
    const defs = svg("defs", {});
    defs.append(tip("up"), tip("down"));
    picture.append(defs, background, marked);
    world.style.width = `${drawing.width}px`;
    world.style.height = `${drawing.height}px`;
    const at = (made, { x, y, width }) => {
      made.style.left = `${x}px`;
      made.style.top = `${y}px`;
      made.style.width = `${width}px`;
      return made;
    };
    const labels = (name, some) => some.map((label) => {
      label.box = at(el("div", { class: name, title: label.text }, label.text), label);
      return label.box;
    });
    for (const node of nodes) {
      const kind = node.kind === "tree" ? (node.module.program ? "program" : "file") : KINDS[node.kind][2];
      const by = importers(node.id).length;
      const sign = node.module?.program ? "▶" : KINDS[node.look][0];
      node.box = el(
        "button",
        {
          type: "button", tabindex: "-1", "data-id": node.id, title: node.id,
          class: [
            "node", node.look, node.root && "root", node.module?.program && "program", node.module?.error && "broken",
          ].filter(Boolean).join(" "),
          "aria-label": `${node.label}, ${kind}${node.plantable ? ", plantable" : ""}, needed by ${by}`,
          onclick: () => choose(node.id),
          onpointerenter: () => mark(node.id),
          onpointerleave: () => mark(chosen),
          onfocus: () => rove(node),
        },
        sign && el("span", { class: "mark", "aria-hidden": "true" }, sign),
        el("span", { class: "name" }, node.label),
        node.flag && el("span", { class: `flag ${node.flag}`, title: "has findings" }, "!"),
      );
      at(node.box, node);
    }
    world.append(
      picture, ...labels("title", drawing.titles), ...labels("folder", drawing.folders),
      ...nodes.map((node) => node.box),
    );
    if (nodes.length) nodes[0].box.tabIndex = 0;
    drawLines();
  }

  /** Show the lines of one node: what needs it, what needs that, and what it needs. */
  function mark(id) {
    const node = places.get(id);
    if (!node) {
      marked.replaceChildren();
      return;
    }
    const up = above(id);
    const some = [];
    for (const line of lines) {
      if (!visible(line)) continue;
      const direction = line.to === node ? "up" : line.from === node ? "down" : null;
      const beyond = line.style !== "runtime" && up.has(line.from.id) && up.has(line.to.id);
      if (!direction && !beyond) continue;
      const attributes = { class: `${direction ?? "beyond"} ${styleOf(line.style)}`, d: curve(line) };
      if (direction) attributes["marker-end"] = `url(#tip-${direction})`;
      some.push(svg("path", attributes));
    }
    marked.classList.toggle("many", some.length > 60);
    marked.replaceChildren(...some);
  }

  function related(id) {
    const node = places.get(id);
    const up = above(id), down = new Set();
    for (const line of node?.lines ?? []) {
      if (!visible(line)) continue;
      if (line.from === node) down.add(line.to.id);
      else up.add(line.from.id);
    }
    return { up, down };
  }

  // Where one looks. --------------------------------------------------------------

  const view = { x: 0, y: 0, scale: 1 };
  function look(x, y, scale) {
    Object.assign(view, { x, y, scale });
    world.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }

  function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const scale = Math.min(3, Math.max(0.08, view.scale * factor)), by = scale / view.scale;
    look(x - (x - view.x) * by, y - (y - view.y) * by, scale);
  }

  /** Show all, or with `least` as much as can be read, from the first column on. */
  function fit(least = 0) {
    const wide = canvas.clientWidth / drawing.width, high = canvas.clientHeight / drawing.height;
    const scale = Math.max(least, Math.min(1.25, wide, high));
    const top = nodes.length && drawing.height * scale > canvas.clientHeight ? nodes[0].y : drawing.height / 2;
    const left = Math.max(0, (canvas.clientWidth - drawing.width * scale) / 2);
    look(left, canvas.clientHeight / 2 - top * scale, scale);
  }

  function bringIn(node) {
    const x = view.x + (node.x + node.width / 2) * view.scale, y = view.y + (node.y + BOX / 2) * view.scale;
    const inside = x > 60 && y > 30 && x < canvas.clientWidth - 60 && y < canvas.clientHeight - 30;
    const scale = Math.max(view.scale, 0.5);
    if (inside && scale === view.scale) return;
    const to = scale / view.scale;
    look(canvas.clientWidth / 2 - (x - view.x) * to, canvas.clientHeight / 2 - (y - view.y) * to, scale);
  }

  function rove(node) {
    for (const other of nodes) other.box.tabIndex = other === node ? 0 : -1;
    if (node.box.matches(":focus-visible")) bringIn(node);
  }

  /** The nearest shown node in a direction; what lies to the side counts twice. */
  function nearest(from, dx, dy) {
    let best = null, least = Infinity;
    for (const node of nodes) {
      const x = node.x + node.width / 2 - from.x - from.width / 2, y = node.y - from.y;
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (shows(node) && ahead > 5 && (dy === 0 || aside < 40) && ahead + 2 * aside < least) {
        least = ahead + 2 * aside;
        best = node;
      }
    }
    return best;
  }

  // What is told. -----------------------------------------------------------------

  const link = (id, text) => el(
    "button", { type: "button", class: "link", title: id, onclick: () => choose(id) }, text ?? labelOf(id),
  );
  const labelOf = (id) => places.get(id)?.label ?? id;
  /** A link, and behind it the folder of what it leads to. */
  const placed = (id) => {
    const folder = modules.get(id)?.path?.replace(/[^/]*$/, "");
    return [link(id), folder && el("span", { class: "folder-of" }, ` ${folder}`)].filter(Boolean);
  };
  const heading = (text, number) => el(
    "h3", {}, text, number !== undefined && el("span", { class: "number" }, ` ${number}`),
  );
  const rule = (name) => el("span", { title: drawing.rules[name]?.[1] }, drawing.rules[name]?.[0] ?? name);

  /** A list of which only the beginning is shown until more is asked for. */
  function list(items, make, shown = SHOWN) {
    const made = el("ul");
    const add = (from, to) => made.append(...items.slice(from, to).map(make));
    add(0, items.length > shown + 2 ? shown : items.length);
    if (items.length > shown + 2) {
      const more = el(
        "button",
        { type: "button", class: "link more", onclick: () => { more.remove(); add(shown, items.length); } },
        `and ${items.length - shown} more`,
      );
      return el("div", {}, made, more);
    }
    return made;
  }

  /** A list under its heading; nothing where there is nothing. */
  const part = (title, items, make, shown) =>
    (items.length ? [heading(title, items.length), list(items, make, shown)] : []);

  function lacking(edge) {
    if (!edge.missing?.length) return null;
    const names = edge.missing.slice(0, MOST_SYMBOLS).join(", ");
    const more = edge.missing.length > MOST_SYMBOLS ? ` and ${edge.missing.length - MOST_SYMBOLS} more` : "";
    return el("div", { class: "bad" }, `lacks ${names}${more}`);
  }

  /** How a module needs another: by which names, how many functions, found by which rule. */
  function manner(edges, target) {
    const [first] = edges;
    const rules = new Set((neededBy.get(target) ?? []).map((edge) => edge.rule));
    const names = [...new Set(edges.map((edge) => edge.name))];
    const other = modules.get(target)?.name.toLowerCase() !== names[0].toLowerCase() || names.length > 1;
    const symbols = edges.reduce((sum, edge) => sum + edge.symbols, 0);
    const parts = [
      [...new Set(edges.map((edge) => HOW[edge.via]))].join(", "),
      other && ` ${names.slice(0, 2).join(", ")}${names.length > 2 ? ` and ${names.length - 2} more` : ""}`,
      symbols ? `, ${count(symbols, first.via === "forwarder" ? "export" : "function")}` : "",
      first.rule && rules.size > 1 ? [" · ", rule(first.rule)] : "",
    ];
    return el("div", { class: "dim" }, parts.flat().filter(Boolean));
  }

  /** One importer in the reverse tree; what is above it comes when it is opened. */
  function importer([id, edges], target, below) {
    const more = importers(id).filter(([other]) => !below.has(other) && other !== id);
    const item = el("li", { class: more.length ? false : "flat" });
    const open = () => {
      const old = item.querySelector(":scope > ul, :scope > div.inner");
      toggle.setAttribute("aria-expanded", String(!old));
      toggle.textContent = old ? "▸" : "▾";
      if (old) old.remove();
      else {
        const seen = new Set([...below, id]);
        const inner = list(more, (one) => importer(one, id, seen));
        if (inner.tagName === "DIV") inner.className = "inner";
        item.append(inner);
      }
    };
    const toggle = el(
      "button",
      {
        type: "button", class: "toggle", "aria-expanded": "false", "aria-label": `What needs ${labelOf(id)}`,
        onclick: open,
      },
      "▸",
    );
    if (more.length) item.append(toggle);
    item.append(...placed(id), manner(edges, target), ...edges.map(lacking).filter(Boolean));
    return item;
  }

  function why(id) {
    const module = modules.get(id);
    const by = importers(id);
    const parts = [heading(module?.origin === "missing" ? "Why it is needed" : "Why it is there")];
    if (module?.root) {
      parts.push(el("p", {}, module.program ? "It is a program: loading begins here."
        : "Loading begins here: no other file needs it, or it is an extension module, which is loaded by its path."));
    } else if (by.length) {
      const chain = way(id).map((one) => link(one)).flatMap((one, at) => (at ? [" → ", one] : [one]));
      const roots = [...above(id)].filter((one) => modules.get(one)?.root).length;
      if (chain.length) {
        const leading = `${count(roots, "root")} of ${allRoots} ${roots === 1 ? "leads" : "lead"} to it.`;
        parts.push(el("p", { class: "path" }, chain), el("p", { class: "dim" }, leading));
      }
    } else if (!namedBy(id).length) parts.push(el("p", {}, "Nothing that was looked at needs it."));
    if (by.length) {
      parts.push(heading("Needed by", by.length), list(by, (one) => importer(one, id, new Set([id]))));
    }
    return parts;
  }

  function found(id) {
    const edges = asked.get(id) ?? neededBy.get(id) ?? [];
    const rules = grouped(edges.filter((edge) => edge.rule), (edge) => edge.rule);
    return [...rules].map(([name, some]) => {
      const by = new Set(some.map((edge) => edge.importer)).size;
      return el("div", {}, rule(name), el("span", { class: "dim" }, ` (for ${by}): ${drawing.rules[name]?.[1] ?? ""}`));
    });
  }

  function plants(id) {
    const some = (asked.get(id) ?? neededBy.get(id) ?? []).filter((edge) => edge.plantable);
    if (!some.length || modules.get(id)?.origin === "missing") return [];
    const ways = [...grouped(some, (edge) => edge.why)];
    return [
      heading("Another file could take its place"),
      list(ways, ([text, edges]) => {
        const by = [...new Set(edges.map((edge) => edge.importer))];
        return el("li", {}, el("span", { class: "warn" }, text), " ", el("span", { class: "dim" }, "for "), link(by[0]),
          by.length > 1 && el("span", { class: "dim" }, ` and ${by.length - 1} more`));
      }),
    ];
  }

  /** How many functions are asked for, and which, when that is asked; those that are not there in red. */
  function functions(edge, item) {
    const text = count(edge.symbols, edge.via === "forwarder" ? "export" : "function");
    if (!edge.wanted.length) return edge.symbols ? `, ${text}` : "";
    const lacking = new Set(edge.missing);
    const open = () => {
      const old = item.querySelector(".functions");
      button.setAttribute("aria-expanded", String(!old));
      if (old) old.remove();
      else {
        const names = edge.wanted.map((place) => symbols.names[place]);
        const rows = names.map((name) => el("li", { class: lacking.has(name) ? "bad" : false }, name));
        item.append(el("ul", { class: "functions" }, rows));
      }
    };
    const button = el("button", { type: "button", class: "link count", "aria-expanded": "false", onclick: open }, text);
    return [", ", button];
  }

  function need(edge) {
    const id = edge.rule === "api-set" ? apiSet(edge) : edge.target;
    const host = modules.get(edge.target);
    const item = el("li");
    const how = edge.via === "import" ? "" : ` ${HOW[edge.via]}`;
    const where = host.origin === "missing" ? el("span", { class: "bad" }, " missing")
      : edge.rule === "api-set" ? ["", el("span", { class: "dim" }, " → "), link(edge.target)]
      : edge.rule && edge.via !== "assembly" && el("span", { class: "dim" }, " · ", rule(edge.rule));
    const parts = el("div", {}, link(id, edge.name), el("span", { class: "dim" }, how, functions(edge, item)), where,
      edge.plantable && host.origin !== "missing" && el("span", { class: "warn" }, " · plantable"), lacking(edge));
    item.append(...parts.childNodes);
    return item;
  }

  const namedBy = (id) => graph.runtime.filter((load) => load.target === id);
  function load(one, self) {
    const place = one.line ? `${one.file}:${one.line}` : one.file;
    const how = one.how === "string" ? "" : ` (${one.how})`;
    const target = one.target === null
      ? one.how !== "add_dll_directory" && el("span", { class: "warn" }, " not resolved")
      : one.target !== self && [el("span", { class: "dim" }, " → "), link(one.target)];
    const file = one.file !== self && [modules.has(one.file) ? link(one.file, place) : place, ": "];
    return el("li", {}, file, one.name || "?", el("span", { class: "dim" }, how), target);
  }

  /** What findings have in common that are told as one: the DLL that is missing, else the words without the symbol. */
  function kindred(one) {
    const about = one.kind === "missing-dll" ? one.dll.toLowerCase()
      : one.kind === "missing-symbol" ? `${one.file}\n${one.message.replace(one.symbol, () => "")}` : one.message;
    return [one.severity, one.kind, one.hint, about].join("\n");
  }

  function finding(some, self) {
    const [one] = some;
    const names = [...new Set(some.map((other) => other.symbol))];
    const files = [...new Set(some.map((other) => other.file))].filter((file) => file !== self);
    const alike = new Set(some.map((other) => other.message)).size === 1;
    const message = alike ? one.message
      : one.kind === "missing-dll" ? `imports ${one.dll}, which is nowhere that they look`
      : one.message.replace(one.symbol, () => names.slice(0, MOST_SYMBOLS).join(", ")
        + (names.length > MOST_SYMBOLS ? ` and ${names.length - MOST_SYMBOLS} more` : ""));
    return el(
      "div", { class: `finding ${one.severity}` },
      el("strong", { class: one.severity === "error" ? "bad" : "warn" }, one.severity), " ", message,
      el("div", { class: "dim" }, `What to do: ${one.hint}`),
      files.length > 0 && list(files, (file) => el("li", {}, modules.has(file) ? placed(file) : file), 3),
    );
  }

  function findingsOf(some, self) {
    if (!some.length) return [];
    const groups = [...grouped(some, kindred).values()];
    const rest = groups.length - MOST_FINDINGS;
    return [
      heading("Findings", some.length),
      ...groups.slice(0, MOST_FINDINGS).map((group) => finding(group, self)),
      ...(rest > 0 ? [el("p", { class: "dim" }, `and ${rest} more: packager deps --format list has them all`)] : []),
    ];
  }

  function facts(rows) {
    const kept = rows.filter(([, value]) => value && value.length !== 0);
    return el("dl", {}, kept.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  function tell(node) {
    const { id, module } = node;
    const what = {
      tree: module?.program ? "Program" : "DLL of the tree", windows: "DLL of Windows", "api-set": "API set",
      assembly: "Side-by-side assembly", missing: "Missing",
    }[node.kind];
    const host = asked.get(id)?.[0].target;
    const name = module?.name.toLowerCase();
    const about = graph.findings.filter((one) => one.file === id || one.dll === id
      || (one.dll !== null && node.kind !== "tree" && one.dll.toLowerCase() === (name ?? node.label.toLowerCase())));
    const wants = needs.get(id) ?? [];
    const loads = graph.runtime.filter((one) => one.file === id);
    const named = namedBy(id);
    panel.replaceChildren(
      el("h2", { id: "about", tabindex: "-1" }, node.label),
      el("p", {}, el("span", { class: `kind ${node.kind}` }, what), " ",
        node.root && [el("span", { class: "kind tree" }, "Root"), " "],
        node.plantable && el("span", { class: "kind plantable" }, "Plantable")),
      facts([
        ["File", module?.path],
        ["Machine", module?.machine],
        ["Host", host && link(host)],
        ["Since", module?.since],
        ["Broken", module?.error && el("span", { class: "bad" }, module.error)],
        ["Found by", found(id)],
      ]),
      ...findingsOf(about, id),
      ...why(id),
      ...plants(id),
      ...part("What it needs", wants, need, 30),
      ...part("Names it may load at run time", loads, (one) => load(one, id)),
      ...part("Named, to be loaded at run time, by", named, (one) => load(one, id)),
    );
    panel.scrollTop = 0;
  }

  /** What the panel has while nothing is chosen: the whole. */
  function tellAll() {
    const origins = grouped(graph.modules, (module) => module.origin);
    const size = (origin) => origins.get(origin)?.length ?? 0;
    const inPython = graph.runtime.filter((load) => !modules.has(load.file));
    const roots = graph.modules.filter((module) => module.root && module.program);
    panel.replaceChildren(
      el("h2", { id: "about" }, graph.ok ? "Everything that is needed is there" : "Something is wrong"),
      facts([
        ["Files", String(size("tree"))], ["Of Windows", String(size("windows"))], ["Missing", String(size("missing"))],
        ["Needs", graph.needs_windows && `${graph.needs_windows} or later, as far as is known`],
        ["Programs", roots.length && list(roots, (module) => el("li", {}, placed(module.id)))],
      ]),
      el("p", { class: "path" },
        "Choose a module to see why it is there. What needs it is shown in orange, what it needs in blue."),
      ...findingsOf(graph.findings, null),
      ...part("Named in Python code, to be loaded at run time", inPython, (one) => load(one, null)),
      ...part("Notes", graph.notes, (note) => el("li", {}, note)),
      heading("What Windows has"),
      el("p", { class: "dim" }, graph.data_origin),
    );
  }

  // What is chosen, searched, shown. ----------------------------------------------

  let chosen = null;

  function choose(id) {
    const to = id === null ? "" : `node=${encodeURIComponent(id)}`;
    if (location.hash.slice(1) === to) settle();
    else location.hash = to;
  }

  /** Make the page show what its address says. */
  function settle() {
    const text = location.hash.slice(1);
    let id = null;
    try {
      id = text.startsWith("node=") ? decodeURIComponent(text.slice(5)) : null;
    } catch {
      // Not an address that this page made.
    }
    const node = places.get(id);
    chosen = node ? id : null;
    const near = node ? related(id) : null;
    for (const other of nodes) {
      const { classList } = other.box;
      classList.toggle("chosen", other === node);
      classList.toggle("up", Boolean(near?.up.has(other.id)));
      classList.toggle("down", Boolean(near?.down.has(other.id)));
      classList.toggle("far", Boolean(near) && other !== node && !near.up.has(other.id) && !near.down.has(other.id));
      if (other === node) other.box.setAttribute("aria-current", "true");
      else other.box.removeAttribute("aria-current");
    }
    background.classList.toggle("far", Boolean(node) || search.value !== "");
    mark(chosen);
    if (node) {
      bringIn(node);
      rove(node);
      tell(node);
    } else tellAll();
  }

  let matches = [], at = -1;

  /** The modules that ask for a function, by its name in lower case. */
  const asking = new Map();
  for (const name of symbols.names) asking.set(name.toLowerCase(), new Set());
  const askers = symbols.names.map((name) => asking.get(name.toLowerCase()));
  for (const edge of graph.edges) for (const place of edge.wanted) askers[place].add(edge.importer);

  /** Mark what has all the words of the search in its name, its path, or a name that it is asked for by, or that asks
   *  for a function which is called just so. */
  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (node, word) => node.words.includes(word) || asking.get(word)?.has(node.id);
    const fits = (node) => shows(node) && words.every((word) => has(node, word));
    matches = words.length ? nodes.filter(fits) : [];
    const some = new Set(matches);
    at = -1;
    for (const node of nodes) {
      node.box.classList.toggle("match", some.has(node));
      node.box.classList.toggle("other", words.length > 0 && !some.has(node));
    }
    background.classList.toggle("far", words.length > 0 || chosen !== null);
    $("found").textContent = words.length ? `${matches.length} of ${nodes.length}` : "";
    if (!words.length) {
      settle();
      return;
    }
    const title = ["Nothing is called so", "1 match"][matches.length] ?? `${matches.length} matches`;
    panel.replaceChildren(
      el("h2", { id: "about" }, title),
      list(matches, (node) => el("li", {}, placed(node.id)), 40),
    );
    if (matches.length && matches.length < nodes.length) bringIn(matches[0]);
  }

  function next(step) {
    if (!matches.length) return;
    at = (at + step + matches.length) % matches.length;
    choose(matches[at].id);
    $("found").textContent = `${at + 1} of ${matches.length}`;
  }

  function legend() {
    const counts = grouped(nodes, (node) => node.look);
    for (const [look, [sign, name]] of Object.entries(KINDS)) {
      if (!counts.has(look)) continue;
      const button = el(
        "button",
        {
          type: "button", class: look, "aria-pressed": "true", title: `${name}: show or hide`,
          onclick: () => toggleLook(look, button),
        },
        el("span", { class: "mark", "aria-hidden": "true" }, sign || "■"), `${name} ${counts.get(look).length}`,
      );
      $("legend").append(button);
    }
  }

  function toggleLook(look, button) {
    const hide = !hidden.has(look);
    if (hide) hidden.add(look);
    else hidden.delete(look);
    button.setAttribute("aria-pressed", String(!hide));
    for (const node of nodes) node.box.hidden = !shows(node);
    for (const label of [...drawing.titles, ...drawing.folders]) {
      const below = (node) => node.x >= label.x && node.x < label.x + label.width && node.y > label.y;
      label.box.hidden = !nodes.some((node) => shows(node) && below(node));
    }
    drawLines();
    if (search.value) find();
    else settle();
  }

  // What the user does. -----------------------------------------------------------

  function onKey(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (search.value) {
        search.value = "";
        find();
      } else choose(null);
    } else if (event.target === search) {
      if (event.key !== "Enter") return;
      next(event.shiftKey ? -1 : 1);
    } else if (event.key === "/") search.focus();
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
    else if (step && event.target.classList.contains("node")) {
      const from = nodes.find((node) => node.box === event.target);
      nearest(from, ...step)?.box.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  function onPointer() {
    let start = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !event.target.closest("button")) {
        start = { x: event.clientX - view.x, y: event.clientY - view.y, moved: false };
        canvas.setPointerCapture(event.pointerId);
      }
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const x = event.clientX - start.x, y = event.clientY - start.y;
      start.moved ||= Math.abs(x - view.x) + Math.abs(y - view.y) > 3;
      if (start.moved) {
        canvas.classList.add("dragged");
        look(x, y, view.scale);
      }
    });
    const end = (event) => {
      if (start && !start.moved && event.type === "pointerup") choose(null);
      start = null;
      canvas.classList.remove("dragged");
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const lines = event.deltaMode === 0 ? event.deltaY : event.deltaY * 30;
      zoom(Math.exp(-lines * 0.0015), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
  }

  const errors = graph.findings.filter((one) => one.severity === "error").length;
  $("verdict").textContent = errors ? count(errors, "error") : "no errors";
  $("verdict").classList.toggle("bad", errors > 0);
  build();
  legend();
  onPointer();
  document.addEventListener("keydown", onKey);
  search.addEventListener("input", find);
  $("larger").addEventListener("click", () => zoom(1.25));
  $("smaller").addEventListener("click", () => zoom(0.8));
  $("fit").addEventListener("click", () => fit());
  addEventListener("hashchange", settle);
  fit(0.55);
  settle();
})();
