package columnar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// elements is the layout as Parquet's schema: depth first, lists in the three levels
// of the specification.
func (l *Layout) elements() []format.SchemaElement {
	count := func(n int) thrift.Null[int32] { return thrift.New(int32(n)) }
	all := []format.SchemaElement{{Name: l.ResourceType, NumChildren: count(len(l.root.Fields))}}
	var add func(f *Field)
	value := func(f *Field, name string, id int, required bool) {
		e := format.SchemaElement{Name: name, FieldID: int32(id), RepetitionType: thrift.New(format.Optional)}
		if required {
			e.RepetitionType = thrift.New(format.Required)
		}
		if f.Type == Struct {
			e.NumChildren = count(len(f.Fields))
		} else {
			e.Type = thrift.New(f.physical())
		}
		switch f.Type {
		case String:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType.Value = &format.StringType{}
		case Timestamp:
			e.ConvertedType = thrift.New(deprecated.TimestampMicros)
			e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
		case Decimal:
			e.ConvertedType = thrift.New(deprecated.Decimal)
			e.TypeLength, e.Scale, e.Precision = count(16), count(decimalScale), count(38)
			e.LogicalType.Value = &format.DecimalType{Scale: decimalScale, Precision: 38}
		}
		all = append(all, e)
		for _, child := range f.Fields {
			add(child)
		}
	}
	add = func(f *Field) {
		if !f.List {
			value(f, f.Name, f.ID, f.Required)
			return
		}
		all = append(all,
			format.SchemaElement{Name: f.Name, FieldID: int32(f.ID), RepetitionType: thrift.New(format.Optional), NumChildren: count(1),
				ConvertedType: thrift.New(deprecated.List), LogicalType: format.LogicalType{Value: &format.ListType{}}},
			format.SchemaElement{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: count(1)})
		value(f, "element", f.ElementID, false)
	}
	for _, f := range l.root.Fields {
		add(f)
	}
	return all
}

// physical is the Parquet type of a leaf's values.
func (f *Field) physical() format.Type {
	switch f.Type {
	case Boolean:
		return format.Boolean
	case Int:
		return format.Int32
	case Long, Timestamp:
		return format.Int64
	case Decimal:
		return format.FixedLenByteArray
	}
	return format.ByteArray
}

// parquetPath is the way down to a leaf in Parquet's schema.
func (f *Field) parquetPath() []string {
	var path []string
	for ; f.parent != nil; f = f.parent {
		if f.List {
			path = append(path, "element", "list")
		}
		path = append(path, f.Name)
	}
	slices.Reverse(path)
	return path
}

// Text is the layout's schema in the notation of Parquet's tools, field ids included.
func (l *Layout) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s {\n", l.ResourceType)
	elements := l.elements()[1:]
	var write func(depth int)
	write = func(depth int) {
		e := elements[0]
		elements = elements[1:]
		fmt.Fprintf(&b, "%s%s %s %s%s%s", strings.Repeat("  ", depth), strings.ToLower(e.RepetitionType.V.String()), typeText(e), e.Name, logicalText(e), idText(e))
		if !e.NumChildren.Valid {
			b.WriteString(";\n")
			return
		}
		b.WriteString(" {\n")
		for range e.NumChildren.V {
			write(depth + 1)
		}
		fmt.Fprintf(&b, "%s}\n", strings.Repeat("  ", depth))
	}
	for len(elements) > 0 {
		write(1)
	}
	b.WriteString("}\n")
	return b.String()
}

func typeText(e format.SchemaElement) string {
	if !e.Type.Valid {
		return "group"
	}
	return map[format.Type]string{format.Boolean: "boolean", format.Int32: "int32", format.Int64: "int64",
		format.ByteArray: "binary", format.FixedLenByteArray: "fixed_len_byte_array(16)"}[e.Type.V]
}

func logicalText(e format.SchemaElement) string {
	if e.LogicalType.Value == nil {
		return ""
	}
	return " (" + fmt.Sprint(e.LogicalType.Value) + ")"
}

func idText(e format.SchemaElement) string {
	if e.FieldID == 0 {
		return ""
	}
	return fmt.Sprintf(" = %d", e.FieldID)
}

// Hash identifies the layout's columns: equal for equal layouts, SHA-256 in hex.
func (l *Layout) Hash() string { return l.hash() }

func (l *Layout) sum() string {
	sum := sha256.Sum256([]byte(LayoutName + "\n" + l.Text()))
	return hex.EncodeToString(sum[:])
}
