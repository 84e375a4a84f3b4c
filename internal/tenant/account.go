package tenant

import "strings"

// MaxAccount is the longest PGP account, as an e-mail address may be (RFC 5321, section 4.5.3.1.3).
const MaxAccount = 254

// ValidAccount tells whether a text may be a tenant's PGP account: what a token and the header account can name, and nothing that
// either would take for the id of a tenant. Empty is none.
func ValidAccount(account string) bool {
	plain := !strings.ContainsFunc(account, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	return plain && len(account) <= MaxAccount && !strings.HasPrefix(strings.ToLower(account), TenantPrefix)
}
