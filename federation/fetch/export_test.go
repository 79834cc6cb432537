package fetch

import "github.com/stint-sts/stint/federation/oidc"

// MaxWaiters is how many calls may wait for one issuer.
const MaxWaiters = maxWaiters

// Settle waits for the load of the provider's keys that is under way, if one is.
func (k *Keys) Settle(p *oidc.Provider) {
	i := k.issuer(p)
	i.mu.Lock()
	flight := i.flight
	i.mu.Unlock()
	if flight != nil {
		<-flight
	}
}
