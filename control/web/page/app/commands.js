// Commands to components: what they will do is said before, and what they did after.

import { post } from "./api.js";
import { say } from "./banner.js";
import { confirm } from "./dialogs.js";
import { button, h, setText } from "../dom/h.js";
import { counted } from "../dom/format.js";

const part = encodeURIComponent;

async function give(component, command, body = {}) {
  say(`${command} ${component.title} …`);
  try {
    const { result } = await post(`components/${part(component.key)}/${command}`, body);
    say(`${component.title}: ${result}`);
  } catch (error) {
    say(`${component.title}: ${command} failed: ${error.message}`, { isError: true });
  }
}

/** What a command means for those who depend on the component. */
function consequences(component, command) {
  const streams = counted(component.streams.length, "stream");
  const readers = component.readers
    ? ` ${counted(component.readers, "reader")} lose${component.readers === 1 ? "s" : ""} them.`
    : "";
  const lines = {
    stop: [
      `This stops ${streams}.${readers}`,
      "What the device sends until it is started again is lost, unless the device keeps it.",
    ],
    restart: [
      `This stops ${streams} for some seconds.${readers}`,
      "Readers that reconnect go on; what the device sends meanwhile is lost, unless it keeps it.",
    ],
    pause: [`This pauses ${streams}: the receiver stops reading, publishers deliver what they have.`],
  };
  return lines[command];
}

function ask(component, command) {
  const lines = consequences(component, command);
  if (!lines)
    give(component, command); // nothing is lost by it
  else confirm(`${command} ${component.title}?`, lines, command, () => give(component, command));
}

const STOPPED = new Set(["stopped", "dead", "failed"]);

/** Buttons for what can be done with a component now; `show(component)` follows its state. */
export function commandButtons() {
  let component = null;
  const toggle = button("pause", () => ask(component, component.state === "paused" ? "resume" : "pause"));
  const restart = button("restart", () => ask(component, "restart"));
  const run = button("stop", () => ask(component, STOPPED.has(component.state) ? "start" : "stop"), {
    class: "danger",
  });
  const level = h(
    "select",
    {
      "aria-label": "Log level to set",
      change: () => {
        give(component, "log-level", { level: level.value });
        level.value = "";
      },
    },
    h("option", { value: "" }, "log level …"),
    ["DEBUG", "INFO", "WARNING", "ERROR"].map((name) => h("option", { value: name }, name)),
  );
  const summary = h("summary", {}, "commands");
  const element = h("details", { class: "commands" }, summary, h("div", {}, toggle, restart, run, level));
  element.show = (now) => {
    component = now;
    const isStopped = STOPPED.has(now.state);
    setText(toggle, now.state === "paused" ? "resume" : "pause");
    setText(run, isStopped ? "start" : "stop");
    run.classList.toggle("danger", !isStopped);
    toggle.hidden = restart.hidden = level.hidden = isStopped;
    summary.setAttribute("aria-label", `Commands for ${now.title}`);
  };
  return element;
}
