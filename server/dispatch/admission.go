package dispatch

import "sync"

// admission bounds the calls of one account that run at the same time, so that no account starves the others.
type admission struct {
	limit int

	mu      sync.Mutex
	running map[string]int // by account; an account without calls has no entry
}

func (a *admission) enter(account string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[account] >= a.limit {
		return false
	}
	a.running[account]++
	return true
}

func (a *admission) leave(account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[account]--; a.running[account] == 0 {
		delete(a.running, account)
	}
}
