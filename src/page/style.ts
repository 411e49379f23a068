// How the page looks: one column that fits a phone, dark where the device is. Text against what is
// behind it has a contrast of 7 or more (WCAG AAA), everything to be touched is 48 pixels high.

export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #4a5158; --line: #767e87;
  --accent: #0a4a8f; --on-accent: #ffffff; --good: #0b5c2b; --bad: #8c1111; --tint: #f1f4f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #eef1f4; --soft: #b9c1ca; --line: #8b949e;
    --accent: #9cc9ff; --on-accent: #0b1622; --good: #8be0a4; --bad: #ffb3ad; --tint: #1f252c;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { font: 112.5%/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink); }
body { margin: 0; }
main { max-width: 34rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
.soft, .hint { color: var(--soft); }
.hint { font-size: .9rem; margin: .25rem 0 0; }
label { display: block; font-weight: 600; margin-top: 1rem; }
label.choice { display: flex; align-items: center; gap: .6rem; min-height: 48px; font-weight: 400; margin: 0; }
input { font: inherit; color: inherit; }
input[type=text], input[type=password] {
  width: 100%; min-height: 48px; padding: .5rem .75rem; margin-top: .25rem;
  background: var(--paper); border: 2px solid var(--line); border-radius: .5rem;
}
input[aria-invalid=true] { border-color: var(--bad); }
input[type=checkbox] { width: 1.4rem; height: 1.4rem; accent-color: var(--accent); }
button, a.go {
  display: block; width: 100%; min-height: 56px; padding: .75rem 1rem; margin-top: 1rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  border: 2px solid var(--accent); border-radius: .5rem;
}
button { background: var(--accent); color: var(--on-accent); }
a.go { background: none; color: var(--accent); }
button[aria-disabled=true] { background: var(--tint); color: var(--soft); cursor: progress; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
#problem { color: var(--bad); font-weight: 600; }
#status { font-weight: 600; min-height: 1.5em; }
#status.good { color: var(--good); }
#status.bad { color: var(--bad); }
ol { padding-left: 1.75rem; margin: .5rem 0; }
li { margin: .15rem 0; }
details { margin-top: 1.5rem; background: var(--tint); border-radius: .5rem; padding: 0 1rem; }
summary { min-height: 48px; display: flex; align-items: center; font-weight: 600; cursor: pointer; }
summary::before { content: "\\25b8"; margin-right: .6rem; }
details[open] summary::before { content: "\\25be"; }
details ul { padding: 0 0 1rem 1.25rem; margin: 0; }
details li { margin: .5rem 0; }
`;
