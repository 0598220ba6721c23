// Every dialogue is a test: played by the provider, judged by the assertion.

const { ids } = require('./work.cjs');

module.exports = {
  prompts: ['{{id}}'],
  providers: ['file://dialogue.cjs'],
  defaultTest: { assert: [{ type: 'javascript', value: 'file://verdict.cjs' }] },
  tests: ids.map((id) => ({ vars: { id } })),
};
