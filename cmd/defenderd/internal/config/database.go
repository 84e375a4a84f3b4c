package config

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/lib/pq"
)

// checkDatabaseTLS refuses a connection string that leaves encryption to the driver's default, which differs between
// releases, and one that lets somebody on the way read or answer in the database's place.
func checkDatabaseTLS(dsn string, unsafe bool) error {
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		// The parser's own message can repeat a part of the string, and with it the password.
		return errors.New("it cannot be read as a PostgreSQL URL such as postgres://user@host:5432/database?sslmode=verify-full")
	}
	if local(cfg) {
		if cfg.SSLMode == "" {
			return errors.New("it must name sslmode; disable will do on this machine")
		}
		return nil
	}
	switch {
	case cfg.SSLMode == "":
		return errors.New("it must name sslmode; verify-full for a database on another machine")
	case cfg.SSLMode != pq.SSLModeVerifyFull && !unsafe:
		return errors.New("sslmode is weaker than verify-full and the database is on another machine; " + envOf("UNSAFE_DATABASE_TLS") + "=true permits it inside a private network")
	}
	return nil
}

// local tells whether every host of the string is this machine.
func local(cfg pq.Config) bool {
	if !localHost(cfg.Host, cfg.Hostaddr) {
		return false
	}
	for _, m := range cfg.Multi {
		if !localHost(m.Host, m.Hostaddr) {
			return false
		}
	}
	return true
}

func localHost(host string, address netip.Addr) bool {
	if address.IsValid() {
		return address.IsLoopback()
	}
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
