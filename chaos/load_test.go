package chaos_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/chaos"
	"github.com/stint-sts/stint/sigv4"
)

const (
	userCount, roleCount = 3, 3
	devicesPerUser       = 8
	step                 = 30 * time.Second
)

// load is what callers do all the time, on all nodes.
type load struct {
	*installation
	users   []sigv4.Credentials
	roles   []string // the last one trusts sessions of the first
	devices []*device

	mu       sync.Mutex
	sessions []*live
	revoked  []*live
	made     atomic.Int64 // users
}

type live struct {
	credentials sigv4.Credentials
	id, role    string
}

// device is an MFA device of a user.
type device struct {
	user         int
	serial, seed string
	used         map[int64]int // how often a step was presented
}

func (l *load) must(node int, service string, form ...string) answer {
	l.t.Helper()
	a, c := l.call(context.Background(), node, l.root, service, form...)
	if c.Outcome != chaos.Passed {
		l.t.Fatalf("%v: %s %s", form, c.Code, a.Message)
	}
	return a
}

func trust(principals ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + strings.Join(principals, `","`) + `"]},"Action":"sts:AssumeRole"}]}`
}

// prepare makes users, roles and devices, and waits until every node knows them.
func prepare(i *installation) *load {
	i.t.Helper()
	l := &load{installation: i}
	var arns []string
	for u := range userCount {
		name := fmt.Sprintf("user%d", u)
		l.must(0, "iam", "Action", "CreateUser", "UserName", name)
		key := l.must(0, "iam", "Action", "CreateAccessKey", "UserName", name)
		l.users = append(l.users, key.credentials())
		arns = append(arns, "arn:aws:iam::"+account+":user/"+name)
		for d := range devicesPerUser {
			l.enroll(u, name, d)
		}
	}
	for r := range roleCount {
		principals := arns
		if r == roleCount-1 {
			principals = []string{l.roles[0]}
		}
		name := fmt.Sprintf("role%d", r)
		l.must(0, "iam", "Action", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trust(principals...))
		l.roles = append(l.roles, "arn:aws:iam::"+account+":role/"+name)
	}
	for n := range nodeCount {
		until(i.t, "roles on every node", func() bool {
			_, c := l.call(context.Background(), n, l.users[0], "sts", "Action", "AssumeRole", "RoleArn", l.roles[0], "RoleSessionName", "first")
			return c.Outcome == chaos.Passed
		}, i.nodes[n].tail)
	}
	return l
}

func (l *load) enroll(user int, name string, number int) {
	l.t.Helper()
	made := l.must(0, "iam", "Action", "CreateVirtualMFADevice", "VirtualMFADeviceName", fmt.Sprintf("%s-%d", name, number))
	d := &device{user: user, serial: made.Serial, used: make(map[int64]int)}
	seed, err := base64.StdEncoding.DecodeString(made.Seed)
	if err != nil {
		l.t.Fatal(err)
	}
	d.seed = string(seed)
	now := present()
	first, second := d.code(l, now-1), d.code(l, now)
	l.must(0, "iam", "Action", "EnableMFADevice", "UserName", name, "SerialNumber", d.serial, "AuthenticationCode1", first, "AuthenticationCode2", second)
	d.used[now-1], d.used[now] = 1, 1
	l.devices = append(l.devices, d)
}

func present() int64 { return time.Now().Unix() / int64(step/time.Second) }

func (d *device) code(l *load, at int64) string {
	code, err := totp.GenerateCode(d.seed, time.Unix(at*int64(step/time.Second), 0))
	if err != nil {
		l.t.Error(err)
	}
	return code
}

// run makes load until ctx ends, and returns when all calls have their answers.
func (l *load) run(ctx context.Context, seed uint64) {
	var working sync.WaitGroup
	defer working.Wait()
	worker := func(number uint64, every time.Duration, work func(*rand.Rand)) {
		working.Go(func() {
			random := rand.New(rand.NewPCG(seed, number))
			tick := time.NewTicker(every)
			defer tick.Stop()
			for ctx.Err() == nil {
				work(random)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	for n := range nodeCount { // a node that does not answer holds up its own callers only
		worker(uint64(10+n), 60*time.Millisecond, func(r *rand.Rand) { l.mint(ctx, r, n) })
		worker(uint64(20+n), 20*time.Millisecond, func(r *rand.Rand) { l.use(r, n) })
		worker(uint64(30+n), 20*time.Millisecond, func(r *rand.Rand) { l.use(r, n) })
		worker(uint64(40+n), 300*time.Millisecond, func(r *rand.Rand) { l.write(n) })
		worker(uint64(50+n), 400*time.Millisecond, func(r *rand.Rand) { l.revoke(r, n) })
	}
	worker(1, 500*time.Millisecond, l.prove)
}

// mint gets a session of a role, by a user's key or by a session of another role.
func (l *load) mint(ctx context.Context, r *rand.Rand, node int) {
	key, role, parent := l.users[r.IntN(userCount)], r.IntN(roleCount-1), ""
	if r.IntN(4) == 0 {
		if s := l.pick(r, func(s *live) bool { return s.role == l.roles[0] }); s != nil {
			key, role, parent = s.credentials, roleCount-1, s.id
		}
	}
	a, c := l.call(context.WithoutCancel(ctx), node, key, "sts", "Action", "AssumeRole", "RoleArn", l.roles[role], "RoleSessionName", "chaos", "DurationSeconds", "3600")
	l.minted(a, chaos.Mint{Call: c, Role: l.roles[role], Parent: parent})
}

func (l *load) minted(a answer, m chaos.Mint) {
	m.ID = a.Credentials.AccessKeyID
	l.history.Minted(m)
	if m.ID == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = append(l.sessions, &live{a.credentials(), m.ID, m.Role})
}

// pick returns one of the latest sessions.
func (l *load) pick(r *rand.Rand, good func(*live) bool) *live {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := l.sessions[max(0, len(l.sessions)-100):]
	for range min(10, len(latest)) {
		if s := latest[r.IntN(len(latest))]; good(s) {
			return s
		}
	}
	return nil
}

// use presents a session: one that was just revoked, or another.
func (l *load) use(r *rand.Rand, node int) {
	s := l.pick(r, func(*live) bool { return true })
	l.mu.Lock()
	if latest := l.revoked[max(0, len(l.revoked)-8):]; len(latest) > 0 && r.IntN(2) == 0 {
		s = latest[r.IntN(len(latest))]
	}
	l.mu.Unlock()
	if s != nil {
		l.present(node, s)
	}
}

func (l *load) present(node int, s *live) chaos.Call {
	_, c := l.call(context.Background(), node, s.credentials, "sts", "Action", "GetCallerIdentity")
	l.history.Used(chaos.Use{Call: c, ID: s.id})
	return c
}

// revoke ends one session, or now and then those of a role.
func (l *load) revoke(r *rand.Rand, node int) {
	s := l.pick(r, func(*live) bool { return true })
	if s == nil {
		return
	}
	revocation, form := chaos.Revocation{ID: s.id}, []string{"Action", "RevokeSessions", "AccessKeyId", s.id}
	if r.IntN(15) == 0 && s.role != "" {
		revocation, form = chaos.Revocation{Role: s.role}, []string{"Action", "RevokeSessions", "PrincipalArn", s.role}
	}
	wait := r.IntN(2) == 0
	if wait {
		form = append(form, "Wait", "true")
	}
	a, c := l.call(context.Background(), node, l.root, "sts", form...)
	switch {
	case c.Outcome == chaos.Passed:
		revocation.Confirmed = wait
	case strings.HasPrefix(a.Message, "The sessions are revoked"):
		c.Outcome = chaos.Passed
	}
	revocation.Call = c
	l.history.Revoked(revocation)
	if c.Outcome == chaos.Passed {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.revoked = append(l.revoked, s)
	}
}

func (l *load) write(node int) {
	name := fmt.Sprintf("made-%d", l.made.Add(1))
	_, c := l.call(context.Background(), node, l.root, "iam", "Action", "CreateUser", "UserName", name)
	l.history.Wrote(chaos.Write{Call: c, User: name})
}

// prove presents an MFA code to two nodes at once, or one that was presented before.
func (l *load) prove(r *rand.Rand) {
	d := l.devices[r.IntN(len(l.devices))]
	at := d.next(r)
	d.used[at]++
	name, code := fmt.Sprintf("%s step %d", d.serial, at), d.code(l, at)
	var both sync.WaitGroup
	first := r.IntN(nodeCount)
	for _, node := range []int{first, (first + 1 + r.IntN(nodeCount-1)) % nodeCount} {
		both.Go(func() {
			a, c := l.call(context.Background(), node, l.users[d.user], "sts", "Action", "GetSessionToken", "SerialNumber", d.serial, "TokenCode", code)
			l.history.Proved(chaos.Proof{Call: c, Name: name})
			l.minted(a, chaos.Mint{Call: c})
		})
	}
	both.Wait()
}

// next is a step that was not presented yet, if there is one that may pass, or else one that must not pass again. Such codes count as
// failures of the device: they are few.
func (d *device) next(r *rand.Rand) int64 {
	now := present()
	for at := now - 1; at <= now+1; at++ {
		if d.used[at] == 0 {
			return at
		}
	}
	return now - 1 + r.Int64N(3)
}

// presentAll presents at the end what lives and what does not, to every node.
func (l *load) presentAll(most int) {
	l.mu.Lock()
	all := append(append([]*live(nil), l.revoked[max(0, len(l.revoked)-most):]...), l.sessions[max(0, len(l.sessions)-most):]...)
	l.mu.Unlock()
	var nodes sync.WaitGroup
	for n := range nodeCount {
		nodes.Go(func() {
			for _, s := range all {
				if c := l.present(n, s); c.Outcome == chaos.Unknown {
					l.t.Errorf("node %d at the end: %s", n, c.Code)
				}
			}
		})
	}
	nodes.Wait()
}
