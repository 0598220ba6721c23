// A promptfoo provider: the prompt is the id of a dialogue, the output the dialogue as played.

const { play } = require('./work.cjs');

module.exports = class Dialogue {
  id() {
    return 'two-rounds';
  }

  async callApi(prompt) {
    return { output: await play(prompt) };
  }
};
