import Apus
import ArgumentParser

/// `apus inspect`: what is in a model file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show what is in a model file.",
    discussion: """
      Examples:
        apus inspect model.gguf
        apus inspect model.gguf --tensors
        apus inspect model.gguf --graph
      """)

  @OptionGroup var source: ModelArgument

  @Flag(help: "List the tensors: name, type, shape, bytes.")
  var tensors = false

  @Flag(help: "List the model's operations in order.")
  var graph = false

  @OptionGroup var output: OutputArguments

  func run() throws {
    let inspection = try ModelInspection(path: source.path)
    if output.json {
      return try printJSON(InspectReport(inspection, graph: try graphRows(inspection)))
    }
    Terminal.write(
      table(["key", "value"], inspection.metadata.map { [$0.key, $0.value] }))
    Terminal.write("\n\(inspection.summary)\n")
    if inspection.files.count > 1 {
      Terminal.write(
        "\n"
          + table(
            ["file", "tensors", "bytes"],
            inspection.files.map { [$0.path, "\($0.tensors)", "\($0.bytes)"] }))
    }
    if tensors {
      Terminal.write(
        "\n"
          + table(
            ["tensor", "type", "shape", "bytes"],
            inspection.tensors.map {
              [$0.name, $0.type, $0.shape.map(String.init).joined(separator: " × "), "\($0.bytes)"]
            }))
    }
    if let rows = try graphRows(inspection) {
      Terminal.write(
        "\n"
          + table(
            ["node", "operation", "inputs", "output"],
            rows.map { [$0.node, $0.operation, $0.inputs.joined(separator: ", "), $0.output] }))
    }
  }

  private func graphRows(
    _ inspection: ModelInspection
  ) throws -> [ModelInspection.GraphRow]? {
    graph ? try inspection.graph() : nil
  }
}

private struct InspectReport: Encodable {
  struct File: Encodable {
    var path: String
    var tensors: Int
    var bytes: Int
  }
  struct Tensor: Encodable {
    var name: String
    var type: String
    var shape: [Int]
    var bytes: Int
  }
  struct Node: Encodable {
    var node: String
    var operation: String
    var inputs: [String]
    var output: String
  }

  var version: Int
  var file_bytes: Int
  var files: [File]
  var metadata: [String: String]
  var tensors: [Tensor]
  var graph: [Node]?

  init(_ inspection: ModelInspection, graph rows: [ModelInspection.GraphRow]?) {
    version = inspection.version
    file_bytes = inspection.fileBytes
    files = inspection.files.map { File(path: $0.path, tensors: $0.tensors, bytes: $0.bytes) }
    metadata = Dictionary(
      inspection.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    tensors = inspection.tensors.map {
      Tensor(name: $0.name, type: $0.type, shape: $0.shape, bytes: $0.bytes)
    }
    graph = rows?.map {
      Node(node: $0.node, operation: $0.operation, inputs: $0.inputs, output: $0.output)
    }
  }
}
