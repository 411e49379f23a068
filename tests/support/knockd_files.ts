// Configurations that knockd 0.8 starts with and such that it refuses, for our reading of them and for
// knockd itself.

const DOOR = "[a]\nsequence = 1001,1002\n";
const numbers = (count: number) => Array.from({ length: count }, (_, index) => 1001 + index).join();

/** What it is, and the text. */
export const ACCEPTED: readonly (readonly [what: string, text: string])[] = [
  ["nothing at all", ""],
  ["only options", "[options]\nUseSyslog\nLogFile = /dev/null\n"],
  ["options in any case", "[options]\nLOGFILE=/dev/null\npidfile = /tmp/none\ninterface=lo\n"],
  ["comments and indentation", `# one\n\t# two\n\n   [a]\n\tsequence\t=\t1001,1002\n`],
  ["protocols with blanks, in any case", "[a]\nsequence = 1001 : UDP , 1002:Tcp\n"],
  ["a sequence of 32", `[a]\nsequence = ${numbers(32)}\n`],
  ["a sequence of one", "[a]\nsequence = 1001\n"],
  ["a port that is no number", "[a]\nsequence = 1001,abc\n"],
  ["a door without command", DOOR],
  [
    "all directives of a door, and their aliases",
    `${DOOR}Seq_Timeout=5\nTimeout=6\nTCPFlags=fin,!syn,rst,psh,!ack,urg\nTarget=127.0.0.1\n` +
    "Start_Command=true\nCommand=true\nStart_Command_6=true\nCommand_6=\nCmd_Timeout=3\n" +
    "Stop_Command=true\nStop_Command_6=\n",
  ],
  ["flags in any case", `${DOOR}tcpflags = SYN,!Ack\n`],
  ["times that are no numbers", `${DOOR}seq_timeout = soon\ncmd_timeout =\n`],
  ["UseSyslog in a door", `${DOOR}usesyslog\n`],
  ["two doors of one name", `${DOOR}${DOOR}`],
  ["a name with blanks", "[ a b ]\nsequence = 1001,1002\n"],
];

/** What it is, the text, and the line that is refused. */
export const REFUSED: readonly (readonly [what: string, text: string, line: number])[] = [
  ["an unknown directive", `${DOOR}bogus = 1\n`, 3],
  ["a word alone", `${DOOR}bogus\n`, 3],
  ["an unknown option", "[options]\nbogus = 1\n", 2],
  ["an option without value", "[options]\nlogfile\n", 2],
  ["UseSyslog with a value", "[options]\nusesyslog = 1\n", 2],
  ["an option in a door", `${DOOR}logfile = /dev/null\n`, 3],
  ["a directive of a door in options", "[options]\nsequence = 1001,1002\n", 2],
  ["a directive before any section", "sequence = 1001,1002\n", 1],
  ["text behind a title", "[a] # one\n", 1],
  ["a section without name", "[]\nsequence = 1001,1002\n", 1],
  ["a door without sequence", "[a]\ncommand = true\n", 1],
  ["options in capitals, which are a door", "[OPTIONS]\nusesyslog\n", 1],
  ["an unknown protocol", "[a]\nsequence = 1001,1002:icmp\n", 2],
  ["an empty protocol", "[a]\nsequence = 1001:,1002\n", 2],
  ["a port above 65535", "[a]\nsequence = 1001,65536\n", 2],
  ["a sequence of 33", `[a]\nsequence = ${numbers(33)}\n`, 2],
  ["an unknown flag", `${DOOR}tcpflags = foo\n`, 3],
  ["flags with blanks", `${DOOR}tcpflags = syn, ack\n`, 3],
];
