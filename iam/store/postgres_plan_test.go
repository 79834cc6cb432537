package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stint-sts/stint/iam/store/pgtest"
)

// TestPostgres_QueryPlans shows the same as TestQueryPlans: with fresh statistics and with none, every statement searches by an index.
func TestPostgres_QueryPlans(t *testing.T) {
	t.Parallel()
	const roles = 20_000
	for _, analyzed := range []bool{false, true} {
		t.Run(fmt.Sprintf("analyzed %v", analyzed), func(t *testing.T) {
			t.Parallel()
			p, err := OpenPostgres(t.Context(), PostgresConfig{URL: pgtest.Database(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c, err := p.pool.acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.pool.release(c)
			execute(t, c, fmt.Sprintf(`INSERT INTO records (account, kind, parent, name, id, target, path, version, body)
SELECT lpad((i %% 10)::text, 12, '0'), 'role', '', 'role-' || i, 'AROA' || i, '', '/team-' || i %% 1000 || '/', 1, ''::bytea FROM generate_series(1, %[1]d) i
UNION ALL SELECT lpad((i %% 10)::text, 12, '0'), 'attachment', 'AROA' || i, 'P', '', 'P', '', 1, ''::bytea FROM generate_series(1, %[1]d) i`, roles))
			execute(t, c, tallyObjects+"; "+tallyLinks)
			execute(t, c, "INSERT INTO tallies SELECT 'attachment', 'P' || i, '1', 1 FROM generate_series(1, 20000) i") // a page is read at once
			execute(t, c, "INSERT INTO uses SELECT id, 1, '', '' FROM records WHERE kind = 'role'")
			if analyzed {
				execute(t, c, "ANALYZE")
			}
			// As pgConn plans them once a statement was used often: for any arguments.
			execute(t, c, "SET plan_cache_mode = force_generic_plan")
			all := statements(postgresUses)
			all[selectChanges], all[selectNewest] = []any{int64(1), int64(10)}, nil
			for text, args := range all {
				for _, step := range explainStatement(t, c, text, args) {
					table := strings.Contains(step, " on records") || strings.Contains(step, " on uses") || strings.Contains(step, " on tallies")
					if table && strings.Contains(step, "Seq Scan") {
						t.Errorf("%s\n\tplan: %s", text, step)
					}
				}
			}
		})
	}
}

func execute(t *testing.T, c *pgConn, text string) {
	t.Helper()
	if _, err := c.exec(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// explainStatement returns the plan of a statement, which is rolled back.
func explainStatement(t *testing.T, c *pgConn, text string, args []any) (steps []string) {
	t.Helper()
	execute(t, c, "BEGIN")
	defer execute(t, c, "ROLLBACK")
	execute(t, c, "PREPARE planned AS "+text)
	defer execute(t, c, "DEALLOCATE planned")
	literals := make([]string, len(args))
	for i, a := range args {
		literals[i] = "'" + strings.ReplaceAll(fmt.Sprint(a), "'", "''") + "'"
	}
	run := "EXPLAIN EXECUTE planned"
	if len(args) > 0 {
		run += " (" + strings.Join(literals, ", ") + ")"
	}
	results, err := c.Exec(t.Context(), run).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, row := range results[0].Rows {
		steps = append(steps, string(row[0]))
	}
	if len(steps) == 0 {
		t.Fatalf("%s: no plan", text)
	}
	if testing.Verbose() {
		t.Logf("%s\n\t%s", text, strings.Join(steps, "\n\t"))
	}
	return steps
}
