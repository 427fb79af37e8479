"use strict";
(() => {
  const sorted = new Map(); // by the table's id: column and direction, for when the page is refreshed
  const keyOf = (row, column) => row.cells[column].dataset.key;
  const compare = (a, b, number) => number ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });

  const sort = (table, column, direction) => {
    const heads = table.tHead.rows[0].cells, body = table.tBodies[0];
    if (column >= heads.length) return;
    const number = heads[column].classList.contains("number");
    const rows = Array.from(body.rows);
    rows.sort((one, other) => {
      const a = keyOf(one, column), b = keyOf(other, column);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined); // what is missing is last
      return (direction === "ascending" ? 1 : -1) * compare(a, b, number);
    });
    body.append(...rows);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", direction);
    sorted.set(table.id, [column, direction]);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (!button) return;
    const head = button.closest("th");
    const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    sort(head.closest("table"), head.cellIndex, next);
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  const every = Number(document.documentElement.dataset.refresh);
  if (!every) return;
  const say = (words) => { document.querySelector(".live").textContent = words; };
  let tag = null;

  const replace = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const main = document.querySelector("main"), next = document.adoptNode(fresh.querySelector("main"));
    const at = document.activeElement, held = at && main.contains(at);
    const table = held && at.closest("table"), head = held && at.closest("thead th");
    const inside = held && at.closest("details, .scroll");
    const scrolls = new Map();
    for (const each of main.querySelectorAll(".scroll")) scrolls.set(each.querySelector("table").id, each.scrollLeft);
    const open = Array.from(main.querySelectorAll("details[open]"), (each) => each.id);
    const [x, y] = [scrollX, scrollY];
    main.replaceWith(next);
    for (const id of open) { const each = document.getElementById(id); if (each) each.open = true; }
    for (const [id, [column, direction]] of sorted) {
      const each = document.getElementById(id);
      if (each && each.tHead) sort(each, column, direction);
    }
    for (const [id, left] of scrolls) {
      const each = document.getElementById(id);
      if (each) each.closest(".scroll").scrollLeft = left;
    }
    document.title = fresh.title;
    for (const part of ["h1", "nav", "footer"]) {
      document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
    }
    scrollTo({ left: x, top: y, behavior: "instant" });
    if (head && table) {
      const again = document.getElementById(table.id);
      if (again) again.tHead.rows[0].cells[head.cellIndex].querySelector("button").focus({ preventScroll: true });
    } else if (inside && inside.matches("details")) {
      const again = document.getElementById(inside.id);
      if (again) again.querySelector("summary").focus({ preventScroll: true });
    }
  };

  const ask = async () => {
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.pathname, { headers, cache: "no-store", redirect: "error" });
      if (answer.status === 304) say(`Up to date, ${new Date().toLocaleTimeString()}.`);
      else if (answer.ok) {
        replace(await answer.text());
        tag = answer.headers.get("ETag");
        say(`Refreshed, ${new Date().toLocaleTimeString()}.`);
      } else say(`The run can't be read just now: ${answer.status}.`);
    } catch {
      say("pcx watch has ended; this is how it was then.");
    }
    setTimeout(ask, every * 1000);
  };
  setTimeout(ask, every * 1000);
})();
