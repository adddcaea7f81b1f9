package flow

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Registry holds the node classes of a program. The zero value is an empty registry
// that is ready to use. It is safe for concurrent use.
type Registry struct {
	mu       sync.RWMutex
	classes  map[string]*Class
	replaced map[string]*Replacement // by the name of the old class
	checks   []func(context.Context, *GraphCheck) error
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Add adds a class that [NewClass] has made, or a class of another registry. Prompts that
// are submitted from now on can use it. If the name is taken, or if c is nil, Add returns a
// [*SchemaError] and changes nothing.
func (r *Registry) Add(c *Class) error {
	if c == nil || c.code == nil {
		return &SchemaError{Wrong: "is empty", Mend: "make the class with NewClass, and look at its error first"}
	}
	if old := r.add(c); old != nil {
		return &SchemaError{Class: c.Name(), Wrong: "the name is taken by " + old.maker, Mend: "set Info.Name to another, or remove that class first"}
	}
	return nil
}

// add adds a class, or returns the class that has its name.
func (r *Registry) add(c *Class) (old *Class) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.classes[c.Name()]; old != nil {
		return old
	}
	if r.classes == nil {
		r.classes = map[string]*Class{}
	}
	r.classes[c.Name()] = c
	return nil
}

// Remove removes the class with this name. It returns false if there is none. A prompt that
// was submitted here before keeps its classes, also while it waits in the queue. Graphs that
// its nodes make afterwards cannot use the class. If a waiting prompt is taken over by
// another process or after a restart, it is checked against the classes there: without the
// class it is refused, and the error says which class does not exist.
func (r *Registry) Remove(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.classes[name]
	delete(r.classes, name)
	return ok
}

// Class returns the class with this name. ok is false if there is none.
func (r *Registry) Class(name string) (*Class, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.classes[name]
	return c, ok
}

// Classes yields all classes, sorted by name.
func (r *Registry) Classes() iter.Seq[*Class] {
	return func(yield func(*Class) bool) {
		r.mu.RLock()
		all := maps.Clone(r.classes)
		r.mu.RUnlock()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(all[name]) {
				return
			}
		}
	}
}
