// Small helpers for making elements. Texts are always set as text, never as HTML: whatever an event says is shown
// and nothing of it is run.

export const by = (id) => document.getElementById(id);

export function make(tag, name, said) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (said !== undefined) element.textContent = said;
  return element;
}

export function button(said, act, title = "", name = "") {
  const element = make("button", name, said);
  element.type = "button";
  if (title) element.title = title;
  element.addEventListener("click", act);
  return element;
}
