// The other way round, for tests: a configuration as the text of a file and the files that it names.

import type { Config, Door, Knock, Step } from "../../../src/config/config.ts";
import { rangeText, SYN_ONLY } from "../../../src/config/config.ts";
import type { Files } from "../../../src/config/files.ts";
import { prefixText } from "../../../src/config/prefix.ts";
import { keyText } from "../../../src/config/secret.ts";
import { stepText } from "../../../src/config/step.ts";
import { flagWords } from "../../../src/config/tcp_flags.ts";
import { timeText } from "../../../src/config/time.ts";
import { stringify } from "yaml";

/** The folder that the file is in. */
export const FOLDER = "/etc/pk";

export interface Written {
  readonly text: string;
  readonly files: Files;
}

/** A file in memory. */
export interface FileOf {
  readonly text: string;
  readonly mode: number;
  readonly owner?: number;
}

/** Files in memory: path to content, or content, mode and owner; others do not exist. */
export function filesOf(contents: Readonly<Record<string, string | FileOf>>): Files {
  return {
    read: (path) => {
      const content = contents[path];
      if (content === undefined) return { reason: "ENOENT" };
      const { text, ...status } = typeof content === "string"
        ? { text: content, mode: 0o600 }
        : content;
      return { bytes: new TextEncoder().encode(text), ...status };
    },
  };
}

/** Writes a configuration. */
export function written(config: Config): Written {
  const contents: Record<string, string> = {};
  const doors = Object.fromEntries(
    config.doors.map((door) => [door.name, doorValue(door, contents)]),
  );
  const text = stringify({
    version: 1,
    doors,
    refuse: config.refuse,
    filter: config.filter,
    decoys: config.decoys.map(stepText),
    ...(config.banMs === undefined ? {} : { ban: timeText(config.banMs) }),
    "table-owner": config.tableOwner,
    "queue-num": config.queueNumber,
    limits: { "sources-max": config.sourcesMax, "grants-max": config.grantsMax },
    log: config.log,
  }, { aliasDuplicateObjects: false });
  return { text, files: filesOf(contents) };
}

function doorValue(door: Door, contents: Record<string, string>) {
  return {
    opens: door.opens.map(rangeText),
    knock: knockValue(door.name, door.knock, contents),
    within: timeText(door.withinMs),
    for: timeText(door.timeoutMs),
    then: door.onExpire,
    ...(door.from.length === 0 ? {} : { from: door.from.map(prefixText) }),
    ...(door.weakAccepted ? { weak: "accepted" } : {}),
  };
}

function knockValue(name: string, knock: Knock, contents: Record<string, string>): unknown {
  switch (knock.kind) {
    case "plain":
      return knock.steps.map(stepValue);
    case "one-time":
      contents[knock.file] = ["# a comment", ...knock.sequences.map(({ line }) => line)].join("\n");
      return { "one-time": { file: knock.file } };
    case "rotating": {
      contents[`${FOLDER}/${name}.secret`] = `${keyText(knock.secret.reveal())}\n`;
      return {
        rotating: {
          "secret-file": `${name}.secret`,
          ports: rangeText(knock.ports),
          knocks: knock.knocks,
          step: timeText(knock.stepMs),
          "bind-source": knock.bindSource,
        },
      };
    }
    case "encrypted":
      return {
        encrypted: {
          layout: knock.layout,
          ports: rangeText(knock.ports),
          users: Object.fromEntries(knock.users.map((user) => {
            const file = `${name}.${user.name}.secret`;
            contents[`${FOLDER}/${file}`] = new TextDecoder().decode(user.secret.reveal());
            return [user.name, { id: user.id, "secret-file": file }];
          })),
        },
      };
  }
}

function stepValue(step: Step): unknown {
  const flags = step.flags === SYN_ONLY ? {} : { flags: flagWords(step.flags) };
  const after = step.afterMs === 0 ? {} : { after: timeText(step.afterMs) };
  const before = step.beforeMs === Infinity ? {} : { before: timeText(step.beforeMs) };
  const options = { ...after, ...before, ...flags };
  return Object.keys(options).length === 0 ? stepText(step) : { [stepText(step)]: options };
}
