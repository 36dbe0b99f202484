package import GGUF
package import ModelGraph
import Tensors

/// A model as the rest of the house sees it: a graph, and the few numbers that size its run.
package struct Model: Sendable {
  /// The architecture's name in the file: `llama`, …
  package var architecture: String
  /// The name that the file gives the model, or its architecture.
  package var name: String
  package var graph: Graph
  /// Tokens that the model was trained to hold.
  package var contextLength: Int
  package var vocabularySize: Int

  /// Numbers in all weights that the graph uses.
  package var parameterCount: Int {
    graph.weights.reduce(0) { $0 + $1.rows * $1.width }
  }

  /// Bytes of all weights that the graph uses, in the file's layout.
  package var weightBytes: Int { graph.weights.reduce(0) { $0 + $1.bytes } }

  /// Reads the architecture that the file names.
  ///
  /// - Parameters:
  ///   - file: An open model file.
  ///   - activations: How quantised linear layers treat their input.
  /// - Throws: ``ModelError`` saying what the file lacks.
  package init(_ file: GGUFFile, activations: ActivationFormat) throws(ModelError) {
    let hyperparameters = try Hyperparameters(file)
    guard let build = Self.architectures[hyperparameters.architecture] else {
      throw .unsupportedArchitecture(
        path: file.path, name: hyperparameters.architecture,
        supported: Self.architectures.keys.sorted())
    }
    let graph = try build(file, hyperparameters, activations)
    do throws(GraphError) { try graph.verify() } catch {
      throw .graph(path: file.path, error)
    }
    architecture = hyperparameters.architecture
    name = (try? file.text("general.name")) ?? architecture
    self.graph = graph
    contextLength = hyperparameters.contextLength
    vocabularySize = graph.logits.map { graph[$0].width } ?? 0
  }

  private typealias Build =
    @Sendable (GGUFFile, Hyperparameters, ActivationFormat) throws(ModelError) -> Graph

  /// One row for each architecture.
  private static let architectures: [String: Build] = [
    "llama": { file, hyperparameters, activations throws(ModelError) in
      try llamaGraph(file, hyperparameters, activations)
    }
  ]
}

/// Why a readable file is not a model that Apus runs.
package enum ModelError: Error, Sendable, Hashable, CustomStringConvertible {
  case file(GGUFError)
  case graph(path: String, GraphError)
  case unsupportedArchitecture(path: String, name: String, supported: [String])
  /// Metadata or tensors that contradict each other.
  case inconsistent(path: String, reason: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .graph(let path, let error): "\(path): \(error)"
    case .unsupportedArchitecture(let path, let name, let supported):
      "\(path): the architecture '\(name)' is not supported; supported are "
        + supported.joined(separator: ", ")
    case .inconsistent(let path, let reason): "\(path): \(reason)"
    }
  }
}
