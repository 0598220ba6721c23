"""gateway: how far a run came is kept with it when it becomes final"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column, filled for the runs that are final: what a list shows of them is read from one row each."""
    op.execute("ALTER TABLE gateway.runs ADD outcome jsonb")
    op.execute(
        """
        UPDATE gateway.runs r SET outcome = jsonb_build_object('generated', g.done, 'judged', j.judged,
            'failed', g.failed, 'usage', jsonb_build_object(
                'candidate', jsonb_build_object('calls', g.candidate_calls,
                    'prompt_tokens', g.candidate_prompt_tokens, 'completion_tokens', g.candidate_completion_tokens),
                'simulator', jsonb_build_object('calls', g.simulator_calls,
                    'prompt_tokens', g.simulator_prompt_tokens, 'completion_tokens', g.simulator_completion_tokens),
                'judge', jsonb_build_object('calls', t.calls,
                    'prompt_tokens', t.prompt_tokens, 'completion_tokens', t.completion_tokens)))
        FROM (SELECT id, judges, retry_at FROM gateway.runs) x
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(done), 0) AS done, coalesce(sum(failed), 0) - (SELECT count(*)
                    FROM generator.dialogues d
                    WHERE d.run_id = x.id AND d.state = 'failed' AND d.finished_at < x.retry_at) AS failed,
                coalesce(sum(candidate_calls), 0) AS candidate_calls,
                coalesce(sum(candidate_prompt_tokens), 0) AS candidate_prompt_tokens,
                coalesce(sum(candidate_completion_tokens), 0) AS candidate_completion_tokens,
                coalesce(sum(simulator_calls), 0) AS simulator_calls,
                coalesce(sum(simulator_prompt_tokens), 0) AS simulator_prompt_tokens,
                coalesce(sum(simulator_completion_tokens), 0) AS simulator_completion_tokens
            FROM generator.tallies WHERE run_id = x.id) g
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(calls), 0) AS calls, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
                coalesce(sum(completion_tokens), 0) AS completion_tokens
            FROM judge.tallies WHERE run_id = x.id) t
        CROSS JOIN LATERAL (
            SELECT count(*) AS judged FROM (
                SELECT FROM judge.verdicts v WHERE v.run_id = x.id AND v.judge = ANY(x.judges) AND (v.state = 'done'
                    OR v.state = 'failed' AND coalesce(v.finished_at >= x.retry_at, true))
                GROUP BY v.dialogue_id HAVING count(*) >= cardinality(x.judges)) e) j
        WHERE x.id = r.id AND r.status NOT IN ('queued', 'running', 'cancelling')
        """
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE gateway.runs DROP outcome")
