extension Op {
  /// Whether a row of the output needs that row of each operand and no other, and nothing that
  /// only some rows have.
  fileprivate var isRowByRow: Bool {
    switch self {
    case .linear, .rmsNorm, .add, .gated: true
    // Rope takes positions, which are not selected; attention reads the keys of other rows.
    case .embedRows, .rope, .attention, .selectRows: false
    }
  }
}

extension Graph {
  /// The graph with rows selected as early as one selection will do: the feed-forward part of the last
  /// layer is computed only of rows whose logits are wanted.
  ///
  /// Logits are the same to the last bit, since no row takes part in another's sums. Two selections,
  /// before the projection of the last attention, would spare little more of a prompt and cost every
  /// token a launch.
  package func selectingEarly() throws(GraphError) -> Graph {
    var readers: [ValueID: Int] = [:]
    for node in nodes { for input in node.inputs { readers[input, default: 0] += 1 } }
    // How many readers of a value that is computed in full want selected rows only.
    var wanting: [ValueID: Int] = [:]
    var (reached, moved): (Set<ValueID>, Set<ValueID>) = ([], [])
    for node in nodes.reversed() {
      if case .selectRows = node.op, node.inputs[1] == outputRows {
        wanting[node.inputs[0], default: 0] += 1
      } else if node.op.isRowByRow, let count = wanting[node.output],
        count == readers[node.output]
      {
        wanting[node.output] = nil
        reached.insert(node.output)
        for input in node.inputs { wanting[input, default: 0] += 1 }
        if wanting.count == 1 { moved = reached }
      }
    }
    guard !moved.isEmpty else { return self }

    var graph = self
    graph.nodes = []
    // What stands for a value: of one that is computed in full its selected rows, and of the rows that
    // were selected in the end what they came from, which has no other rows now.
    var selected: [ValueID: ValueID] = [:]
    var dropped: [ValueID: ValueID] = [:]
    for var node in nodes {
      if case .selectRows = node.op, moved.contains(node.inputs[0]) {
        dropped[node.output] = node.inputs[0]
        continue
      }
      node.inputs = node.inputs.map { dropped[$0] ?? $0 }
      if moved.contains(node.output) {
        for (place, input) in node.inputs.enumerated() where !moved.contains(input) {
          if selected[input] == nil {
            selected[input] = try graph.append(
              .selectRows, [input, outputRows], label: "wanted_rows", layer: node.layer)
          }
          node.inputs[place] = selected[input] ?? input
        }
        graph.values[node.output.index].rows = .symbol(.outputs)
      }
      graph.nodes.append(node)
    }
    return graph
  }
}
