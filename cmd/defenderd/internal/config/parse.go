package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/kms"
	"pgp.internal/defender/internal/seal"
)

type durationOf = time.Duration

const (
	tenth      = 100 * time.Millisecond
	oneSecond  = time.Second
	minLease   = 5 * time.Second
	oneMinute  = time.Minute
	tenMinutes = 10 * time.Minute
	oneWeek    = 7 * 24 * time.Hour
	oneYear    = 365 * 24 * time.Hour
	// maxDrain leaves time to hand work back within the 30 seconds that orchestrators usually give.
	maxDrain = 15 * time.Second
)

func parseDatabaseURL(c *Config, text string) error {
	c.DatabaseURL = seal.NewSecret(text)
	return nil
}

func parseKeyring(c *Config, text string) (err error) {
	c.Keyring, err = seal.ParseRing(text) // its errors show no key
	return err
}

func address(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		_, port, err := net.SplitHostPort(text)
		if err != nil {
			return errors.New("must be host:port, such as 127.0.0.1:8080, or :8080 for every address of the machine")
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return errors.New("the port must be a number from 0 to 65535; 0 takes a free one")
		}
		*field(c) = text
		return nil
	}
}

func parseRoles(c *Config, text string) error {
	for role := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(role) {
		case "http":
			c.ServeHTTP = true
		case "work":
			c.Work = true
		default:
			return errors.New("must be http, work, or http,work")
		}
	}
	return nil
}

func duration(field func(*Config) *durationOf, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > most {
			return fmt.Errorf("must be a duration such as 30s or 1m30s, from %v to %v", least, most)
		}
		*field(c) = d
		return nil
	}
}

func number(field func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		*field(c) = n
		return nil
	}
}

func yesNo(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, text string) error {
		switch text {
		case "true":
			*field(c) = true
		case "false":
			*field(c) = false
		default:
			return errors.New("must be true or false")
		}
		return nil
	}
}

func directory(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		// Only a try tells whether rows can be kept there: permissions, mount options and quotas all have a say.
		f, err := os.CreateTemp(text, ".defenderd-try-")
		if err != nil {
			return fmt.Errorf("no file can be created in the directory: %w", reason(err))
		}
		*field(c) = text
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
}

func origin(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" ||
			u.Fragment != "" || (u.Path != "" && u.Path != "/") {
			return errors.New("must be a scheme and a host only, such as https://login.microsoftonline.com")
		}
		*field(c) = text
		return nil
	}
}

func parseCloud(c *Config, text string) error {
	switch cloud := defender.Cloud(text); cloud {
	case defender.Commercial, defender.GCC, defender.GCCHigh, defender.DoD:
		c.Cloud = cloud
		return nil
	}
	return errors.New("must be commercial, gcc, gcc_high or dod")
}

func parseCAFile(c *Config, text string) error {
	pem, err := os.ReadFile(text)
	if err != nil {
		return fmt.Errorf("the file cannot be read: %w", reason(err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("the file holds no certificate in PEM form")
	}
	c.CAFile, c.RootCAs = text, pool
	return nil
}

// tokenFile asks only that something can be read: the token itself is renewed again and again.
func tokenFile(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		token, err := os.ReadFile(text)
		if err != nil {
			return fmt.Errorf("the file cannot be read: %w", reason(err))
		}
		if strings.TrimSpace(string(token)) == "" {
			return errors.New("the file is empty")
		}
		*field(c) = text
		return nil
	}
}

// KEKKeyring is the setting KEK without a key service.
const KEKKeyring = "keyring"

func parseKEK(c *Config, text string) error {
	if text == KEKKeyring {
		return nil
	}
	c.KEK = text
	return kms.Check(text)
}

func parseFormerKEKs(c *Config, text string) error {
	c.FormerKEKs = strings.Split(text, ",")
	for _, former := range c.FormerKEKs {
		if err := kms.Check(former); err != nil {
			return err
		}
	}
	return nil
}

func parseLogLevel(c *Config, text string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[text]
	if !ok {
		return errors.New("must be debug, info, warn or error")
	}
	c.LogLevel = level
	return nil
}

func parseLogFormat(c *Config, text string) error {
	if text != "json" && text != "text" {
		return errors.New("must be json or text")
	}
	c.LogJSON = text == "json"
	return nil
}

func parseProxies(c *Config, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil || p != p.Masked() {
			return errors.New("must be networks such as 10.0.0.0/8, separated by commas; a single proxy is 10.1.2.3/32")
		}
		c.TrustedProxies = append(c.TrustedProxies, p.String())
	}
	return nil
}
