// What promptfoo does for a dialogue: the four requests of benchmarks/other_tools/work.py.

const fs = require('node:fs');

const TALK = { temperature: 0.7, top_p: 0.95, max_tokens: 256 };
const SCORE = { temperature: 0, max_tokens: 2048 };
const METRICS = 9;

const document = JSON.parse(fs.readFileSync(process.env.WORK, 'utf8'));
const work = new Map(document.dialogues.map((each) => [each.id, { ...each, ...document.characters[each.character] }]));

const filled = (text, said) => text.replace(/\{(q1|a1|q2|a2)\}/g, (place, name) => said[name] ?? place);

async function chat(model, messages, params) {
  const answer = await fetch(`${process.env.BASE_URL}/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: 'Bearer none' },
    body: JSON.stringify({ model, messages, ...params }),
  });
  if (!answer.ok) throw new Error(`${model} answered ${answer.status}`);
  return (await answer.json()).choices[0].message.content;
}

async function play(id) {
  const { role, question: q1, follow_up } = work.get(id);
  const messages = [{ role: 'system', content: role }, { role: 'user', content: q1 }];
  const a1 = await chat('mock', messages, TALK);
  const q2 = await chat('mock-simulator', [{ role: 'user', content: filled(follow_up, { q1, a1 }) }], TALK);
  messages.push({ role: 'assistant', content: a1 }, { role: 'user', content: q2 });
  return { q1, a1, q2, a2: await chat('mock', messages, TALK) };
}

async function rate(id, said) {
  const content = filled(work.get(id).material, said);
  const messages = [{ role: 'system', content: document.judge }, { role: 'user', content }];
  const verdict = JSON.parse(await chat('mock-judge', messages, SCORE));
  const scores = Object.fromEntries(Object.entries(verdict).map(([metric, { score }]) => [metric, score]));
  if (Object.keys(scores).length !== METRICS) throw new Error(`not ${METRICS} scores`);
  return scores;
}

module.exports = { ids: [...work.keys()], play, rate };
