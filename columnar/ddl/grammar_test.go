package ddl_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
	"fhirkiln/columnar/ddl"
)

// TestHiveColumns reads the columns of Spark's and Athena's tables with a parser of its own, since
// neither engine is available here. Every name must be quoted, and the types must be the layout's.
func TestHiveColumns(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range types() {
		var want []string
		for _, field := range columnar.LayoutOf(typ).Fields {
			want = append(want, quote(field.Name)+" "+hiveType(field))
		}

		tail := []string{"MSCK", "REPAIR", "TABLE", quote(typ), ";"}
		spark := parseTable(t, write(t, typ, ddl.Spark, ""), ddl.Spark, "CREATE", "TABLE", quote(typ))
		if diff := cmp.Diff(append(slices.Clone(want), "`kiln_source` string", "`kiln_feed` string", "`kiln_run` string"), spark.columns); diff != "" {
			t.Fatalf("columns of %s for Spark (-layout +DDL):\n%s", typ, diff)
		}
		if !slices.Equal(spark.tokens[max(0, len(spark.tokens)-len(tail)):], tail) {
			t.Errorf("Spark's DDL of %s ends with %q", typ, spark.tokens)
		}

		for i := range want {
			want[i] = strings.ToLower(want[i])
		}
		tail[3] = strings.ToLower(tail[3])
		athena := parseTable(t, write(t, typ, ddl.Athena, ""), ddl.Athena, "CREATE", "EXTERNAL", "TABLE", tail[3])
		if diff := cmp.Diff(want, athena.columns); diff != "" {
			t.Fatalf("columns of %s for Athena (-layout +DDL):\n%s", typ, diff)
		}
		if !slices.Equal(athena.tokens[max(0, len(athena.tokens)-len(tail)):], tail) {
			t.Errorf("Athena's DDL of %s ends with %q", typ, athena.tokens)
		}
		for _, name := range spark.names {
			seen[name] = true
		}
	}
	for _, name := range []string{"end", "start", "group", "order", "class", "__residual", "__birthDate_start"} {
		if !seen[quote(name)] {
			t.Errorf("no type has the name %s, which was to be seen between quotes", name)
		}
	}
}

// hiveType returns the type of a field in the form that the parser returns.
func hiveType(f *columnar.Field) string {
	text := map[columnar.Type]string{
		columnar.String: "string", columnar.Boolean: "boolean", columnar.Int: "int", columnar.Long: "bigint",
		columnar.Timestamp: "timestamp", columnar.Decimal: "decimal(38,9)",
	}[f.Type]
	if f.Type == columnar.Struct {
		var fields []string
		for _, child := range f.Fields {
			fields = append(fields, quote(child.Name)+":"+hiveType(child))
		}
		text = "struct<" + strings.Join(fields, ",") + ">"
	}
	if f.List {
		text = "array<" + text + ">"
	}
	return text
}

func quote(name string) string { return "`" + name + "`" }

// TestAthenaLimits checks that the tables stay within AWS's limits
// (https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html,
// https://docs.aws.amazon.com/athena/latest/ug/service-limits.html), and that no names differ by
// case alone: Glue, Hive and Spark do not tell them apart.
func TestAthenaLimits(t *testing.T) {
	t.Parallel()
	const maxName, maxType, maxQuery = 255, 131072, 262144
	var typeOf, query string // the column with the longest type, and the type with the longest DDL
	var typeBytes, queryBytes int
	for _, typ := range types() {
		text := write(t, typ, ddl.Athena, "")
		if len(text) > queryBytes {
			query, queryBytes = typ, len(text)
		}
		table := parseTable(t, text, ddl.Athena, "CREATE", "EXTERNAL", "TABLE", quote(strings.ToLower(typ)))
		for _, column := range table.columns {
			name, hiveType, _ := strings.Cut(column, " ")
			if len(hiveType) > typeBytes {
				typeOf, typeBytes = typ+"."+name, len(hiveType)
			}
		}
		for _, name := range table.names {
			if len(name)-len("``") > maxName {
				t.Errorf("%s: the name %s is longer than %d bytes", typ, name, maxName)
			}
		}
		partitions := []*columnar.Field{{Name: "kiln_source"}, {Name: "kiln_feed"}, {Name: "kiln_run"}}
		reportClashes(t, typ, slices.Concat(columnar.LayoutOf(typ).Fields, partitions))
	}
	t.Logf("longest type: %s with %d bytes; longest DDL: %s with %d bytes", typeOf, typeBytes, query, queryBytes)
	if typeBytes > maxType {
		t.Errorf("the type of %s has %d bytes, Glue allows %d", typeOf, typeBytes, maxType)
	}
	if queryBytes > maxQuery {
		t.Errorf("the DDL of %s has %d bytes, Athena allows %d", query, queryBytes, maxQuery)
	}
}

func reportClashes(t *testing.T, path string, fields []*columnar.Field) {
	t.Helper()
	seen := map[string]string{}
	for _, f := range fields {
		lower := strings.ToLower(f.Name)
		if other, ok := seen[lower]; ok {
			t.Errorf("%s has both %s and %s", path, other, f.Name)
		}
		seen[lower] = f.Name
		reportClashes(t, path+"."+f.Name, f.Fields)
	}
}

// hiveParser reads a table's columns.
type hiveParser struct {
	tokens  []string // what is left
	columns []string // name, space, type
	names   []string // at any depth
	err     error    // the first
}

// parseTable reads the columns of a CREATE TABLE that begins with these tokens.
func parseTable(t *testing.T, text string, f ddl.Format, begin ...string) *hiveParser {
	t.Helper()
	p := &hiveParser{tokens: lex(t, text, f)}
	p.expect(begin...)
	p.expect("(")
	for more := true; more && p.err == nil; more = p.accept(",") {
		name := p.name()
		p.columns = append(p.columns, name+" "+p.hiveType())
	}
	p.expect(")")
	if p.err != nil {
		t.Fatalf("parsing the DDL for %s: %v in\n%.300s", f, p.err, text)
	}
	return p
}

// hiveType := ARRAY '<' hiveType '>'
//
//	| STRUCT '<' name ':' hiveType { ',' name ':' hiveType } '>'
//	| DECIMAL '(' 38 ',' 9 ')' | STRING | BOOLEAN | INT | BIGINT | TIMESTAMP
//
// It is returned in lower case, names aside.
func (p *hiveParser) hiveType() string {
	switch word := strings.ToLower(p.next()); word {
	case "string", "boolean", "int", "bigint", "timestamp":
		return word
	case "decimal":
		p.expect("(", "38", ",", "9", ")")
		return "decimal(38,9)"
	case "array":
		p.expect("<")
		element := p.hiveType()
		p.expect(">")
		return "array<" + element + ">"
	case "struct":
		p.expect("<")
		var fields []string
		for more := true; more && p.err == nil; more = p.accept(",") {
			name := p.name()
			p.expect(":")
			fields = append(fields, name+":"+p.hiveType())
		}
		p.expect(">")
		return "struct<" + strings.Join(fields, ",") + ">"
	default:
		p.fail("a type", word)
		return ""
	}
}

// name reads a name, which must be quoted.
func (p *hiveParser) name() string {
	name := p.next()
	if len(name) < 3 || name[0] != '`' {
		p.fail("a name between backticks", name)
	}
	p.names = append(p.names, name)
	return name
}

func (p *hiveParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

func (p *hiveParser) accept(token string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != token {
		return false
	}
	p.next()
	return true
}

func (p *hiveParser) expect(tokens ...string) {
	for _, want := range tokens {
		if got := p.next(); got != want {
			p.fail(want, got)
		}
	}
}

func (p *hiveParser) fail(want, got string) {
	if p.err == nil {
		p.err = fmt.Errorf("want %s, got %q", want, got)
	}
}

// lex splits a text into tokens as the format's engine does, and drops comments and white space. A
// backslash is an escape in all literals except DuckDB's.
func lex(t *testing.T, text string, f ddl.Format) []string {
	t.Helper()
	var all []string
	for i := 0; i < len(text); {
		from := i
		switch c := text[i]; {
		case c == ' ' || c == '\n':
			i++
			continue
		case strings.HasPrefix(text[i:], "--"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == '\'' || c == '"' || c == '`':
			for i++; i < len(text) && text[i] != c; i++ { // a doubled quote splits the token in two, which is fine here
				if text[i] == '\\' && c != '`' && f != ddl.DuckDB {
					i++
				}
			}
			if i++; i > len(text) {
				t.Fatalf("%s: no end of %.40q", f, text[from:])
			}
		case isWord(c):
			for i < len(text) && isWord(text[i]) {
				i++
			}
		case strings.IndexByte("<>(){}[],:;=.*", c) >= 0:
			i++
		default:
			t.Fatalf("%s: no token at %.40q", f, text[i:])
		}
		all = append(all, text[from:i])
	}
	return all
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
