/** Embeddings by an ONNX model in process. */
import { OnnxModel, type Pooling } from './model.js'

export interface OnnxEmbedderOptions {
  /** A Transformers folder with model.onnx, whose first output is the last hidden state. */
  model: string
  /** How tokens become one vector. Default mean. */
  pooling?: Pooling
  /** Of the session. Default 1. */
  threads?: number
}

export interface OnnxEmbedder {
  readonly name: string
  /** Vectors of unit length, in the texts' order. A text that is too long loses its end. */
  embed(texts: readonly string[]): Promise<Float32Array[]>
  close(): Promise<void>
}

/** For `createGrader({ type: 'text_similarity', evaluation_metric: 'cosine' }, { embedder })`. Throws JUDGE_INVALID. */
export async function onnxEmbedder(options: OnnxEmbedderOptions): Promise<OnnxEmbedder> {
  const { pooling = 'mean' } = options
  const model = await OnnxModel.load(options.model, options.threads)
  return {
    name: `onnx:${options.model}`,
    embed: async (texts) => (await model.run({ texts: texts.map((text) => [text, null]), pooling })).rows,
    close: () => model.close()
  }
}
