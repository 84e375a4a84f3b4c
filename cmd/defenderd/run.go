package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
)

// program is one run of the command, with all it may use of the outside.
type program struct {
	environ        []string
	stdout, stderr io.Writer
}

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line until it is done or ctx ends. args[0] is the program's name.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	p := &program{environ: environ, stdout: stdout, stderr: stderr}
	return p.root().Run(ctx, args)
}

// env looks a variable up; the last one counts, as in the operating system's own look-up.
func (p *program) env(name string) (string, bool) {
	for i := len(p.environ) - 1; i >= 0; i-- {
		if key, value, _ := strings.Cut(p.environ[i], "="); key == name {
			return value, true
		}
	}
	return "", false
}

const about = `Connects customers' Microsoft Defender for Endpoint to PGP: checks the credentials, keeps the secret sealed,
imports endpoints and network-accessible vulnerabilities, and serves them over REST.

To see it work, with a simulated Microsoft and a database of its own:

    defenderd demo

To set it up:

    defenderd keyring new --out keyring
    export DEFENDERD_DATABASE_URL='postgres://defender@db.example.com/defender?sslmode=verify-full'
    export DEFENDERD_KEYRING_FILE=keyring
    defenderd migrate
    defenderd tenant create --name 'Contoso' --internal-assessments
    defenderd api-key create --tenant tnt_... --name ops --role admin --expires 90d
    defenderd serve

All settings: defenderd help config`

func (p *program) root() *cli.Command {
	return p.group(&cli.Command{
		Name: "defenderd", Usage: "PGP integration service for Microsoft Defender for Endpoint", Description: about,
		Writer: p.stdout, ErrWriter: p.stderr, Suggest: true, HideHelpCommand: true,
		// Errors come back to the caller; the library must neither print them nor end the process.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	},
		p.serveCommand(), p.demoCommand(), p.migrateCommand(), p.tenantCommand(), p.apiKeyCommand(), p.auditCommand(), p.keyringCommand(),
		p.healthcheckCommand(), p.versionCommand(), p.helpCommand(),
	)
}

// group makes a command that only holds others. Without one of them it shows its help.
func (p *program) group(parent *cli.Command, children ...*cli.Command) *cli.Command {
	parent.Commands = children
	for _, c := range append(children, parent) {
		c.OnUsageError = badFlag
	}
	if parent.Action == nil {
		parent.Action = func(_ context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return cli.ShowSubcommandHelp(cmd)
			}
			return unknownCommand(cmd)
		}
	}
	return parent
}

func unknownCommand(cmd *cli.Command) error {
	return noSuchCommand(cmd.FullName(), cmd.Args().First(), cmd.Commands)
}

func noSuchCommand(parent, name string, known []*cli.Command) error {
	var names []string
	for _, c := range known {
		names = append(names, c.Name)
	}
	hint := "."
	if similar := config.Similar(name, names); similar != "" {
		hint = "; did you mean " + similar + "?"
	}
	return usagef("there is no command %q%s See %q", parent+" "+name, hint, parent+" --help")
}

// named checks that there is a command by these words.
func named(root *cli.Command, words []string) error {
	at, path := root, root.Name
	for _, word := range words {
		next := at.Command(word)
		if next == nil {
			return noSuchCommand(path, word, at.Commands)
		}
		at, path = next, path+" "+word
	}
	return nil
}

// badFlag tells what is wrong without printing the whole help.
func badFlag(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return usagef("%w; see %q", err, cmd.FullName()+" --help")
}

// noArguments refuses words that a command would otherwise silently ignore.
func noArguments(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usagef("%q takes no argument %q; see %q", cmd.FullName(), cmd.Args().First(), cmd.FullName()+" --help")
	}
	return nil
}

// keyed reads the settings of a command that takes no arguments, and needs the database and its keyring.
func (p *program) keyed(cmd *cli.Command, lookup config.Lookup) (config.Config, error) {
	if err := noArguments(cmd); err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Read(lookup, p.environ, "DATABASE_URL", "KEYRING")
	if err == nil {
		p.warn(cfg)
	}
	return cfg, err
}

// helpCommand shows what --help shows, the table of settings and the table of problems.
func (p *program) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "show the help of a command, all settings with \"help config\", or all problems with \"help problems\"", ArgsUsage: "[COMMAND...]",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "markdown", Usage: "with \"help config\": as the page for docs"}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().First() == "config" {
				if cmd.Bool("markdown") {
					return config.Markdown(p.stdout)
				}
				return config.Text(p.stdout)
			}
			if cmd.Args().First() == "problems" {
				return writeProblems(p.stdout)
			}
			root := p.root()
			if err := named(root, cmd.Args().Slice()); err != nil {
				return err
			}
			// A context of its own, because the library finds a command's parent in the context.
			return root.Run(context.Background(), append(append([]string{"defenderd"}, cmd.Args().Slice()...), "--help"))
		},
	}
}
