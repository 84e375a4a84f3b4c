package tenant

import (
	"strings"
	"unicode/utf8"
)

// MaxAccount is the longest PGP account, as an e-mail address may be (RFC 5321, section 4.5.3.1.3).
const MaxAccount = 254

// everybody is no account: it would read as one for all tenants, where accounts are named.
const everybody = "*"

// ValidAccount tells whether a text may be a tenant's PGP account: what a token and the header account can name, and nothing that
// either would take for the id of a tenant, or a reader for all of them. Empty is none.
func ValidAccount(account string) bool {
	plain := !strings.ContainsFunc(account, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	return plain && account != everybody && len(account) <= MaxAccount && !strings.HasPrefix(strings.ToLower(account), TenantPrefix)
}

// Answers tells whether a name in a token or in the header account is this tenant's: its public id or its PGP account, in any case.
func (t *Tenant) Answers(name string) bool {
	return SameName(name, PublicText(TenantPrefix, t.PublicID)) || t.Account != "" && SameName(name, t.Account)
}

// SameName tells whether two names of tenants are one: A to Z are a to z, and nothing else is anything else. Unicode holds further
// letters for the same as some of these, such as the Kelvin sign for k; no tenant has a name with one, so who has one is nobody.
func SameName(a, b string) bool { return ascii(a) && ascii(b) && strings.EqualFold(a, b) }

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
