// A promptfoo assertion: the judge's nine scores on the dialogue.

const { rate } = require('./work.cjs');

module.exports = async (said, { vars }) => {
  const namedScores = await rate(vars.id, said);
  const score = Object.values(namedScores).reduce((sum, each) => sum + each, 0) / Object.keys(namedScores).length;
  return { pass: true, score, reason: 'scored', namedScores };
};
