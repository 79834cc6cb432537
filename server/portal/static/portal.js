// What this adds, the pages do without: a countdown, copy buttons, tabs, a filter, and one click less on the way to an identity provider.
"use strict";

(function () {
  const one = (selector, within) => (within || document).querySelector(selector);
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));

  function say(text) {
    const region = one("[data-announce]");
    if (region) region.textContent = text;
  }

  function submit() {
    const form = one("form[data-submit]");
    if (form) form.submit();
  }

  // A form that mints is sent once: a double click must not make two sessions.
  function onlyOnce() {
    for (const form of all("form[method=post]")) {
      form.addEventListener("submit", (event) => {
        if (form.dataset.sent) event.preventDefault();
        form.dataset.sent = "yes";
        setTimeout(() => delete form.dataset.sent, 5000); // the answer may never come
      });
    }
    window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));
  }

  function words(seconds) {
    const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
    if (hours > 0) return hours + " h " + String(minutes).padStart(2, "0") + " min";
    if (minutes > 0) return minutes + " min " + String(seconds % 60).padStart(2, "0") + " s";
    return seconds + " s";
  }

  function countdown() {
    const box = one("[data-expires]");
    if (!box) return;
    const end = Date.parse(box.dataset.expires), left = one("[data-left]", box);
    const warnings = [[300, "These credentials expire in five minutes."], [60, "These credentials expire in one minute."]];
    let timer;
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      left.textContent = seconds > 0 ? words(seconds) : "Expired";
      left.nextElementSibling.hidden = seconds === 0; // "left"
      box.classList.toggle("soon", seconds <= 300 && seconds > 0);
      box.classList.toggle("over", seconds === 0);
      while (warnings.length > 0 && seconds <= warnings[0][0]) {
        const text = warnings.shift()[1];
        if (seconds > 0 && (warnings.length === 0 || seconds > warnings[0][0])) say(text);
      }
      if (seconds === 0) {
        clearInterval(timer);
        say("These credentials have expired. Renew them.");
      }
    };
    timer = setInterval(tick, 1000);
    tick();
  }

  async function copy(button) {
    const body = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(body.textContent);
      button.textContent = "Copied";
      say("Copied.");
    } catch {
      getSelection().selectAllChildren(body);
      button.textContent = "Selected";
      say("The text is selected. Copy it with the keyboard.");
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function copying() {
    for (const button of all("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    }
  }

  // Tabs as WAI-ARIA describes them: one stop for the keyboard, arrows move, Home and End jump.
  function tabs() {
    const box = one("[data-tabs]");
    if (!box) return;
    const panels = all(".text", box), list = document.createElement("div");
    list.className = "tablist";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "Form of the credentials");
    const buttons = panels.map((panel) => {
      const button = document.createElement("button");
      button.type = "button";
      button.id = panel.id + "-tab";
      button.textContent = one("h2", panel).textContent;
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      list.append(button);
      return button;
    });
    const remembered = "stint-credentials-form";
    const select = (index, focus) => {
      buttons.forEach((button, i) => {
        button.setAttribute("aria-selected", String(i === index));
        button.tabIndex = i === index ? 0 : -1;
        panels[i].hidden = i !== index;
      });
      if (focus) buttons[index].focus();
      try { localStorage.setItem(remembered, panels[index].id); } catch { /* private mode */ }
    };
    list.addEventListener("click", (event) => {
      const index = buttons.indexOf(event.target);
      if (index >= 0) select(index, false);
    });
    list.addEventListener("keydown", (event) => {
      const now = buttons.indexOf(document.activeElement), last = buttons.length - 1;
      const next = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last }[event.key];
      if (next === undefined || now < 0) return;
      event.preventDefault();
      select(next, true);
    });
    box.prepend(list);
    box.classList.add("tabbed");
    let first = 0;
    try { first = Math.max(0, panels.findIndex((panel) => panel.id === localStorage.getItem(remembered))); } catch { /* private mode */ }
    select(first, false);
  }

  function filter() {
    const tool = one("[data-filter]");
    if (!tool) return;
    tool.hidden = false;
    const input = one("input", tool), found = one("[data-found]"), none = one("[data-none]"), roles = all("[data-text]");
    const apply = () => {
      const parts = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const role of roles) {
        const text = role.dataset.text.toLowerCase();
        role.hidden = !parts.every((part) => text.includes(part));
        if (!role.hidden) count++;
      }
      for (const account of all(".account")) {
        account.hidden = parts.length > 0 && !all("[data-text]", account).some((role) => !role.hidden);
      }
      none.hidden = count > 0;
      found.textContent = parts.length === 0 ? "" : count === 1 ? "1 role matches." : count + " roles match.";
    };
    input.addEventListener("input", apply);
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    one("[data-clear]").addEventListener("click", () => { input.value = ""; apply(); input.focus(); });
    apply();
  }

  onlyOnce();
  countdown();
  copying();
  tabs();
  filter();
  submit();
})();
