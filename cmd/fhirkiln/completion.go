package main

import (
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by fhirkiln completion --help.
func (completionCommand) Help() string {
	return `Add the line to your shell's startup file:

  bash   source <(fhirkiln completion bash)
  zsh    source <(fhirkiln completion zsh)
  fish   fhirkiln completion fish | source`
}

// Run implements the command completion. The scripts are generated from the command line's
// model, so they include new flags automatically.
func (cmd *completionCommand) Run(c console) error {
	parser, err := newParser(new(cli), c)
	if err != nil {
		return err
	}
	return completionScripts().ExecuteTemplate(c.stdout, cmd.Shell, parser.Model)
}

func completionScripts() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"flags": func(commands ...*kong.Node) []*kong.Flag { // without those of subcommands
			var all []*kong.Flag
			for _, n := range commands {
				for _, f := range n.Flags {
					if !f.Hidden {
						all = append(all, f)
					}
				}
			}
			return all
		},
		"spellings": spellings,
		"list":      func(all ...any) []any { return all },
		"enums": func(root *kong.Node) []*kong.Flag { // of the root and of all commands
			return slices.DeleteFunc(allFlags(root), func(f *kong.Flag) bool { return f.Enum == "" })
		},
		"valued": func(commands []*kong.Node) string { // patterns of the flags with free values
			var all []string
			for _, n := range commands {
				for _, f := range allFlags(n) {
					if f.IsBool() || f.Enum != "" {
						continue
					}
					all = append(all, "--"+f.Name)
					if f.Short != 0 {
						all = append(all, "-"+string(f.Short))
					}
				}
			}
			return strings.Join(all, "|")
		},
		"takesFile": func(f *kong.Flag) bool { return slices.Contains([]string{"FILE", "DIR", "PATH"}, f.PlaceHolder) },
		"quote":     func(s string) string { return fmt.Sprintf("'%s'", strings.ReplaceAll(s, "'", `\'`)) },
		"words":     func(f *kong.Flag) string { return strings.Join(strings.Split(strings.Trim(f.Enum, ","), ","), " ") },
	}).Parse(completionTemplates))
}

// spellings returns all spellings of flags in one line: --config -c, also --no-bloom-filter.
func spellings(flags []*kong.Flag) string {
	var all []string
	for _, f := range flags {
		all = append(all, "--"+f.Name)
		if f.Short != 0 {
			all = append(all, "-"+string(f.Short))
		}
		if f.Tag.Negatable != "" {
			all = append(all, "--no-"+f.Name)
		}
	}
	return strings.Join(all, " ")
}

// allFlags returns the flags of a command and its subcommands, each name once.
func allFlags(command *kong.Node) []*kong.Flag {
	var all []*kong.Flag
	var add func(n *kong.Node)
	add = func(n *kong.Node) {
		for _, f := range n.Flags {
			if !f.Hidden && !slices.ContainsFunc(all, func(other *kong.Flag) bool { return other.Name == f.Name }) {
				all = append(all, f)
			}
		}
		for _, c := range n.Children {
			add(c)
		}
	}
	add(command)
	return all
}

const completionTemplates = `
{{- define "bash" -}}
_fhirkiln() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words command i
	COMPREPLY=()
	case $prev in
	{{valued .Node.Children}}) return ;; # to file names, the default
{{- range enums .Node}}
	--{{.Name}}) COMPREPLY=($(compgen -W "{{words .}}" -- "$cur")); return ;;
{{- end}}
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do # flags may stand before the command
		case "$command ${COMP_WORDS[i]}" in
		{{range $i, $n := .Node.Children}}{{if $i}}|{{end}}" {{$n.Name}}"{{end}}) command=${COMP_WORDS[i]} ;;
{{- range $n := .Node.Children}}{{range .Children}}
		"{{$n.Name}} {{.Name}}") command="{{$n.Name}} {{.Name}}" ;;
{{- end}}{{end}}
		esac
	done
	case $command in
{{- $root := .Node}}{{range $n := .Node.Children}}
	{{.Name}}) words="{{range .Children}}{{.Name}} {{end}}{{spellings (flags . $root)}}{{if eq .Name "completion"}} bash zsh fish{{end}}" ;;
{{- range .Children}}
	"{{$n.Name}} {{.Name}}") words="{{spellings (flags . $root)}}" ;;
{{- end}}{{end}}
	*) words="{{range .Node.Children}}{{.Name}} {{end}}{{spellings (flags .Node)}}" ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _fhirkiln fhirkiln
{{end -}}

{{define "zsh" -}}
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
{{template "bash" .}}
{{- end -}}

{{define "fish" -}}
{{range .Node.Children -}}
complete -c fhirkiln -f -n __fish_use_subcommand -a {{.Name}} -d {{quote .Help}}
{{- $command := .Name}}
{{$others := ""}}{{range .Children}}{{$others = printf "%s %s" $others .Name}}{{end -}}
{{range .Children -}}
complete -c fhirkiln -f -n '__fish_seen_subcommand_from {{$command}}; and not __fish_seen_subcommand_from{{$others}}' -a {{.Name}} -d {{quote .Help}}
{{template "fish flags" (list (printf "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s" $command .Name) .)}}
{{- end -}}
{{template "fish flags" (list (printf "__fish_seen_subcommand_from %s" $command) .)}}
{{- end -}}
{{range flags .Node -}}
complete -c fhirkiln -l {{.Name}}{{if .Short}} -s {{printf "%c" .Short}}{{end}}{{if .Enum}} -x -a '{{words .}}'{{end}} -d {{quote .Help}}
{{end -}}
complete -c fhirkiln -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
{{end -}}

{{define "fish flags" -}}
{{$where := index . 0}}{{range flags (index . 1) -}}
complete -c fhirkiln -n '{{$where}}' -l {{.Name}}{{if .Short}} -s {{printf "%c" .Short}}{{end}}{{if .Enum}} -x -a '{{words .}}'{{else if not .IsBool}} -r{{if not (takesFile .)}} -f{{end}}{{end}} -d {{quote .Help}}
{{if .Tag.Negatable -}}
complete -c fhirkiln -n '{{$where}}' -l no-{{.Name}} -d {{quote (printf "Not: %s" .Help)}}
{{end -}}
{{end -}}
{{end -}}
`
