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
  ///   - contextLength: Tokens that the run will hold at most, which some models' rotary positions
  ///     depend on; nil for as many as the model was trained to hold.
  /// - Throws: ``ModelError`` saying what the file lacks.
  package init(
    _ file: GGUFFile, activations: ActivationFormat, contextLength: Int? = nil
  ) throws(ModelError) {
    let metadata = try ArchitectureMetadata(file)
    guard let build = Self.architectures[metadata.architecture] else {
      throw .unsupportedArchitecture(
        path: file.path, name: metadata.architecture, supported: Self.architectures.keys.sorted())
    }
    let hyperparameters = try Hyperparameters(metadata)
    var graph = try build(
      GraphBuilder(
        hyperparameters, activations,
        contextLength: contextLength ?? hyperparameters.contextLength))
    do throws(GraphError) {
      try graph.verify()
      graph = try graph.selectingEarly()
      try graph.verify()
    } catch { throw .graph(path: file.path, error) }
    architecture = metadata.architecture
    name = (try? file.text("general.name")) ?? architecture
    self.graph = graph
    self.contextLength = hyperparameters.contextLength
    vocabularySize = graph.logits.map { graph[$0].width } ?? 0
  }

  /// Tokens that the model in a file was trained to hold.
  package static func contextLength(of file: GGUFFile) throws(ModelError) -> Int {
    try ArchitectureMetadata(file).required("context_length")
  }

  private typealias Build = @Sendable (consuming GraphBuilder) throws(ModelError) -> Graph

  /// One row for each architecture.
  private static let architectures: [String: Build] = [
    "gemma3": gemma3Graph, "llama": llamaGraph, "phi3": phi3Graph, "qwen2": qwen2Graph,
    "qwen3": qwen3Graph,
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
