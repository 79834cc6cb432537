//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, stat string
		want       time.Duration
		wantErr    bool
	}{
		{name: "user and system time are added", stat: "42 (stint) S 1 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 8", want: 1750 * time.Millisecond},
		{name: "a name may hold spaces and parentheses", stat: "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 1 2 0 0", want: 30 * time.Millisecond},
		{name: "a short line is refused", stat: "42 (stint) S 1 42", wantErr: true},
		{name: "a figure that is none is refused", stat: "42 (stint) S 1 42 42 0 -1 4194560 1 0 0 0 x 25 0", wantErr: true},
	} {
		got, err := parseStat([]byte(row.stat))
		if (err != nil) != row.wantErr || (err == nil && got != row.want) {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
}

func TestKernel_KnowsThisProcess(t *testing.T) {
	t.Parallel()
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	if rss, err := residentSize(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident size %d, %v", rss, err)
	}
}

func TestMedianSample(t *testing.T) {
	t.Parallel()
	got := medianSample([]sample{{rate: 3, cpu: 1}, {rate: 1, cpu: 3}, {rate: 2, cpu: 2, p99: 9}})
	if want := (sample{rate: 2, cpu: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAssumeRole_EscapesAndNumbers(t *testing.T) {
	t.Parallel()
	f := assumeRole(always("arn:aws:iam::111122223333:role/a+b=c,d@e"))
	first, second := string(f(1)), string(f(2))
	if !strings.Contains(first, "RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fa%2Bb%3Dc%2Cd%40e&") {
		t.Errorf("form %s", first)
	}
	if first == second {
		t.Error("two sessions have one name")
	}
}

func TestAssumeRoleWithWebIdentity_TakesTokensInTurn(t *testing.T) {
	t.Parallel()
	f := assumeRoleWithWebIdentity("arn:aws:iam::111122223333:role/bench-web", []string{"a.b.c", "d.e.f"})
	for n, token := range []string{"a.b.c", "d.e.f", "a.b.c"} {
		if form := string(f(int64(n))); !strings.HasSuffix(form, "&WebIdentityToken="+token) {
			t.Errorf("form %d is %s", n, form)
		}
	}
}

func TestScattered_ReachesEveryRole(t *testing.T) {
	t.Parallel()
	role, seen := scattered(1000), make(map[string]bool)
	for n := range int64(1000) {
		seen[role(n)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 roles", len(seen))
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := newTable("case", "p50")
	table.add("floor", micros(1500*time.Nanosecond))
	var text strings.Builder
	table.write(&text)
	const want = "| case  |    p50 |\n|-------|-------:|\n| floor | 1.5 µs |\n\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}
